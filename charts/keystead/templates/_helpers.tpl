{{/* The name of everything in the release's namespace. */}}
{{- define "keystead.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of what belongs to the whole cluster: another release elsewhere has another. */}}
{{- define "keystead.clusterName" -}}
{{- printf "%s.%s" (include "keystead.name" .) .Release.Namespace -}}
{{- end -}}

{{/* What a Deployment and its Service choose pods by; it must never change. */}}
{{- define "keystead.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* The labels of every object of the operator's. */}}
{{- define "keystead.labels" -}}
{{ include "keystead.common" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* The labels of every object. */}}
{{- define "keystead.common" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image by its digest, else by its tag: (list root image). */}}
{{- define "keystead.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The cluster's name, or a sentence. */}}
{{- define "keystead.cluster" -}}
{{- required "cluster is required: a name for this cluster, unique among all that share a Vault, such as --set cluster=prod-eu" .Values.cluster -}}
{{- end -}}

{{/* What every pod of the chart has: who runs it, and where. */}}
{{- define "keystead.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # The projected token is readable for this group.
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where replicas are placed: on different nodes where there are some, unless somebody says otherwise. */}}
{{- define "keystead.placement" -}}
affinity:
{{- if .Values.affinity }}
  {{- toYaml .Values.affinity | nindent 2 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "keystead.selector" . | nindent 12 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range . }}
- {{- toYaml . | nindent 2 }}
  labelSelector:
    matchLabels:
      {{- include "keystead.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What every container of the chart has. */}}
{{- define "keystead.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  readOnlyRootFilesystem: true
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Who tells the API server which CA signs the webhooks' certificate. */}}
{{- define "keystead.trust" -}}
{{- if .Values.webhook.certManager.enabled -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "keystead.name" . }}-webhook
{{- end -}}
{{- end -}}

{{/* Labels and annotations of an object that lives for a hook: (list root component hook weight). */}}
{{- define "keystead.hook" -}}
labels:
  {{- include "keystead.common" (index . 0) | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
annotations:
  helm.sh/hook: {{ index . 2 }}
  helm.sh/hook-weight: {{ index . 3 | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

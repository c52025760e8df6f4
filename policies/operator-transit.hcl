
# Encryption keys (spec.vault.mounts.transit): only names of this cluster, and nothing encrypted by them.
path "@transit@/keys/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }


# Databases (spec.vault.mounts.database): connections and roles, only names of this cluster.
path "@database@/config/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }
path "@database@/roles/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }
path "@database@/static-roles/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }
path "@database@/rotate-root/keystead.@cluster@.*" { capabilities = ["update"] }
# The users of a role that is deleted end with it. Vault asks for sudo, which holds for these paths alone.
path "sys/leases/revoke-prefix/@database@/creds/keystead.@cluster@.*" { capabilities = ["update", "sudo"] }

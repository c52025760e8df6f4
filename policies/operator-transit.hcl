
# Encryption keys (spec.vault.mounts.transit): only names of this cluster. What was sealed by them is opened.
path "@transit@/keys/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }
path "@transit@/decrypt/keystead.@cluster@.*" { capabilities = ["update"] }


# Mounting the KV engine where it is missing (spec.vault.manageMounts): this one path and no other.
path "sys/mounts/@kv@" { capabilities = ["read", "update"] }

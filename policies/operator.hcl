# What the Keystead operator of cluster @cluster@ may do. Whoever may write policies in Vault is its
# administrator (nothing bounds a policy's text), so give the operator a Vault namespace of its own.

# Its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
# What it may do itself, so that what it lacks can be told.
path "sys/capabilities-self" { capabilities = ["update"] }

# Policies and auth roles of service accounts: only names of this cluster.
path "sys/policies/acl" { capabilities = ["list"] }
path "sys/policies/acl/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }
path "auth/@workload_mount@/role" { capabilities = ["list"] }
path "auth/@workload_mount@/role/keystead.@cluster@.*" { capabilities = ["create", "read", "update", "delete"] }

# The cluster's public signing keys in the jwt mount, kept current when the cluster rotates them.
path "auth/@workload_mount@/config" { capabilities = ["read", "update"] }

# Values: only below the prefix. Of the engine's own settings: whether it has check-and-set for metadata.
path "@kv@/config" { capabilities = ["read"] }
path "@kv@/data/@prefix@/*" { capabilities = ["create", "read", "update"] }
path "@kv@/metadata/@prefix@/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "@kv@/delete/@prefix@/*" { capabilities = ["update"] }
path "@kv@/undelete/@prefix@/*" { capabilities = ["update"] }
path "@kv@/destroy/@prefix@/*" { capabilities = ["update"] }

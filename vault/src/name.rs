//! Names of what Keystead makes in Vault: `keystead.<cluster>.<provider>.<kind>.<namespace>.<name>`,
//! without a namespace where the whole cluster has it.
//!
//! Cluster and provider are DNS labels, so the first dots separate and no two names collide; what
//! begins with our prefix is provably ours.

use std::fmt;

/// What a name stands for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Letter {
    /// A connection of the database engine.
    DatabaseConnection,
    /// A role of the database engine.
    DatabaseRole,
    /// A key of the transit engine.
    EncryptionKey,
    /// A service account's policy and role.
    ServiceAccount,
}

impl Letter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::DatabaseConnection => "c",
            Self::DatabaseRole => "d",
            Self::EncryptionKey => "k",
            Self::ServiceAccount => "s",
        }
    }
}

/// Where the names of one cluster and provider begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix {
    /// The cluster's name, unique among the clusters that share a Vault.
    pub cluster: String,
    /// The provider's name.
    pub provider: String,
}

impl Prefix {
    /// The name of a namespaced thing.
    pub fn name(&self, letter: Letter, namespace: &str, name: &str) -> String {
        format!("{}{namespace}.{name}", self.head(letter))
    }

    /// The name of a thing of the whole cluster's.
    pub fn cluster_wide(&self, letter: Letter, name: &str) -> String {
        format!("{}{name}", self.head(letter))
    }

    /// What the names of one kind have in front.
    fn head(&self, letter: Letter) -> String {
        format!("{self}.{}.", letter.as_str())
    }

    /// Namespace and name out of a name that [`Self::name`] made for the same letter.
    pub fn parse<'a>(&self, letter: Letter, name: &'a str) -> Option<(&'a str, &'a str)> {
        let head = self.head(letter);
        // A namespace is a DNS label and has no dot; the name may have some.
        name.strip_prefix(&head)?.split_once('.')
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keystead.{}.{}", self.cluster, self.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let prefix = Prefix {
            cluster: "c1".into(),
            provider: "production".into(),
        };
        let name = prefix.name(Letter::ServiceAccount, "shop", "web.v2");
        assert_eq!(name, "keystead.c1.production.s.shop.web.v2");
        assert_eq!(
            prefix.parse(Letter::ServiceAccount, &name),
            Some(("shop", "web.v2"))
        );
        assert_eq!(
            prefix.parse(Letter::ServiceAccount, "keystead.c1.production2.s.shop.web"),
            None
        );
        assert_eq!(
            prefix.parse(Letter::ServiceAccount, "keystead.c1.production"),
            None
        );
    }
}

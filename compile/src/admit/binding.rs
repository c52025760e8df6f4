//! `SecretBinding`: of a provider that admits its namespace and opens it the paths it names, and at odds
//! with no other.

use super::{Admit, collect};
use crate::kinds::{binding, provider};
use crate::{Key, Problem, World};
use keystead_crds::SecretBinding;

impl Admit for SecretBinding {
    fn problems(&self, world: &World) -> Vec<Problem> {
        let key = Key::of(self);
        let name = &self.spec.provider_ref.name;
        // Another operator's: its webhook sees to it.
        if world.is_foreign(name) {
            return Vec::new();
        }
        let clash = binding::clash_with_any(world, &key, self).map_or(Ok(()), Err);
        // While the provider is not there, or the namespace's labels are not known yet, this waits.
        let found = world.provider(name).filter(|_| world.knows(&key.namespace));
        let admitted = found.map_or(Ok(()), |found| provider::admit(world, found, &key.namespace));
        let paths = found.map_or(Ok(()), |found| binding::check_paths(world, found, &key, self));
        collect([binding::fits(&self.spec), clash, admitted, paths])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{binding, provider, world};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    use keystead_crds::binding::EnvSpec;
    use std::sync::Arc;

    fn gives(name: &str, variable: &str) -> SecretBinding {
        let mut binding = binding("shop", name, "p", "web", "hubspot");
        binding.spec.env = vec![EnvSpec {
            name: variable.into(),
            secret: "hubspot".into(),
            key: "api_key".into(),
        }];
        binding
    }

    fn shop() -> World {
        let mut world = world([provider("p")], []);
        world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
        let first = gives("first", "TOKEN");
        world.set_binding(Key::of(&first), Some(Arc::new(first)));
        world
    }

    fn messages(world: &World, binding: &SecretBinding) -> Vec<String> {
        let problems = binding.problems(world).into_iter();
        problems.map(|problem| problem.message).collect()
    }

    #[test]
    fn two_do_not_give_a_pod_the_same() {
        let world = shop();
        assert_eq!(messages(&world, &gives("first", "TOKEN")), Vec::<String>::new());
        assert_eq!(messages(&world, &gives("second", "OTHER")), Vec::<String>::new());
        let told = messages(&world, &gives("second", "TOKEN"));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with(
                "SecretBinding first gives the pods of service account web the variable TOKEN too"
            ),
            "{told:?}"
        );
    }

    #[test]
    fn its_parts_fit_and_the_provider_opens_its_paths() {
        let world = shop();
        let mut odd = gives("second", "OTHER");
        odd.spec.secrets[0].keys = vec!["another".into()];
        let told = messages(&world, &odd);
        assert!(
            told[0].starts_with("spec.env[OTHER].key: api_key is not among"),
            "{told:?}"
        );
        let mut closed = gives("second", "OTHER");
        closed.spec.secrets[0].service = None;
        closed.spec.secrets[0].path = Some("secret/data/app".into());
        let told = messages(&world, &closed);
        assert!(
            told[0].starts_with("spec.secrets[hubspot].path: SecretProvider p does not open secret/data/app"),
            "{told:?}"
        );
    }

    #[test]
    fn the_provider_admits_the_namespace() {
        let mut world = shop();
        let mut narrow = provider("p");
        narrow.spec.namespaces = Some(LabelSelector {
            match_labels: Some([("company".to_owned(), "globex".to_owned())].into()),
            ..LabelSelector::default()
        });
        world.set_provider("p", Some(narrow.clone().into()));
        assert_eq!(
            messages(&world, &gives("second", "OTHER")),
            ["SecretProvider p does not admit namespace shop: its spec.namespaces selects other labels"]
        );
        world.set_namespace("shop", None);
        assert_eq!(
            messages(&world, &gives("second", "OTHER")),
            Vec::<String>::new(),
            "not known yet"
        );
        world.set_provider("p", None);
        assert_eq!(
            messages(&world, &gives("second", "OTHER")),
            Vec::<String>::new(),
            "it waits"
        );
        narrow.spec.class = "another".into();
        world.set_provider("p", Some(narrow.into()));
        assert_eq!(messages(&world, &gives("second", "TOKEN")), Vec::<String>::new());
    }
}

//! Bindings by the services that they grant. Thousands may grant the same one.

use super::World;
use crate::Key;
use keystead_crds::SecretBinding;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Each service with each binding that grants it, by namespace.
#[derive(Default)]
pub(super) struct Granted(BTreeSet<(String, Key)>);

impl Granted {
    /// Takes in that a binding is another now.
    pub(super) fn change(&mut self, key: &Key, old: Option<&SecretBinding>, new: Option<&SecretBinding>) {
        let [old, new] = [old, new].map(services);
        for service in old.difference(&new) {
            self.0.remove(&((*service).clone(), key.clone()));
        }
        for service in new.difference(&old) {
            self.0.insert(((*service).clone(), key.clone()));
        }
    }
}

fn services(binding: Option<&SecretBinding>) -> BTreeSet<&String> {
    let secrets = binding.into_iter().flat_map(|found| &found.spec.secrets);
    secrets.filter_map(|secret| secret.service.as_ref()).collect()
}

impl World {
    /// Every binding that grants a service, of whatever provider; those of a namespace stand together.
    pub fn granting<'a>(
        &'a self,
        service: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<SecretBinding>)> {
        let first = (service.to_owned(), Key::new("", ""));
        let found = self.granted.0.range(first..);
        found
            .take_while(move |(found, _)| found == service)
            .filter_map(|(_, key)| self.bindings.get_key_value(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::binding;

    #[test]
    fn a_binding_is_found_by_what_it_grants_now() {
        let mut world = World::new("c1", "keystead");
        let put = |world: &mut World, name: &str, service: &str| {
            let one = binding("shop", name, "p", "web", service);
            world.set_binding(Key::of(&one), Some(Arc::new(one)));
        };
        let found = |world: &World, service: &str| -> Vec<String> {
            let found = world.granting(service);
            found.map(|(key, _)| key.name.clone()).collect()
        };
        put(&mut world, "one", "slack");
        put(&mut world, "two", "slack");
        put(&mut world, "three", "slacker");
        assert_eq!(found(&world, "slack"), ["one", "two"]);
        put(&mut world, "one", "slacker");
        assert_eq!(found(&world, "slack"), ["two"]);
        assert_eq!(found(&world, "slacker"), ["one", "three"]);
        for name in ["one", "two", "three"] {
            world.set_binding(Key::new("shop", name), None);
        }
        assert!(world.granted.0.is_empty());
    }
}

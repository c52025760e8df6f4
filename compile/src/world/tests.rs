use super::*;
use crate::fixtures::binding;

#[test]
fn a_binding_is_found_by_the_accounts_it_names_now() {
    let mut world = World::new("c1", "keystead");
    let mut one = binding("shop", "one", "p", "web", "hubspot");
    one.spec.service_accounts = vec!["web".into(), "web".into(), "job".into()];
    world.set_binding(Key::of(&one), Some(Arc::new(one.clone())));
    let found = |world: &World, account: &str| -> Vec<String> {
        let found = world.bindings_of("shop", account);
        found.map(|(key, _)| key.name.clone()).collect()
    };
    assert_eq!(found(&world, "web"), ["one"]);
    assert_eq!(found(&world, "job"), ["one"]);
    one.spec.service_accounts = vec!["job".into()];
    world.set_binding(Key::of(&one), Some(Arc::new(one.clone())));
    assert!(found(&world, "web").is_empty());
    world.set_binding(Key::of(&one), None);
    assert!(found(&world, "job").is_empty() && world.bound.is_empty());
}

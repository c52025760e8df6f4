//! Fills the world: one watch a kind. A change that matters puts the units it touches into the
//! queue. Secrets, ConfigMaps and Namespaces are watched by metadata only.

mod kinds;

use crate::affected;
use crate::context::Context;
use crate::guard::Guard;
use crate::queue::Unit;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use keystead_compile::{Key, World};
use keystead_runtime::{Shutdown, probes::Condition};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The server ends a watch after this many seconds: before load balancers drop it in silence.
const WATCH_SECONDS: u32 = 200;
/// Objects per page of a list.
const PAGE: u32 = 200;

/// Longest time that a change waits for more, where it can.
const LATER: Duration = Duration::from_secs(5);

/// Where `kubectl apply` keeps a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What every watch needs.
pub(crate) struct Source {
    /// May wait for long.
    pub(crate) client: Client,
    pub(crate) context: Arc<Context>,
    pub(crate) shutdown: Shutdown,
}

/// A kind of ours, as the world keeps it.
pub(crate) trait Declared:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Puts an object in, or takes it out; answers what stood there.
    fn put(world: &mut World, key: &Key, object: Option<Arc<Self>>) -> Option<Arc<Self>>;
    /// All that the world has of this kind.
    fn keys(world: &World) -> BTreeSet<Key>;
    /// Takes over an object as the API server answered a write of its status: only if the world
    /// still has it as it was written, since a watch may have brought more meanwhile.
    fn remember(world: &mut World, key: &Key, object: Self) {
        let current = Self::get(world, key);
        let object = slim(object);
        if current.is_some_and(|current| !matters(current.as_ref(), &object) && !is_older(&object, current)) {
            Self::put(world, key, Some(Arc::new(object)));
        }
    }
    /// What stands in the world.
    fn get<'a>(world: &'a World, key: &Key) -> Option<&'a Arc<Self>>;
    /// Notes whether an object is there that can't be read.
    fn note_unreadable(_: &mut World, _: &Key, _: bool) {}
    /// What a change touches; `states` is the object before and after, as far as there is one.
    fn affected(world: &World, key: &Key, states: &[&Self]) -> Vec<Unit>;
    /// What a change touches that can wait for more of them.
    fn affected_later(_: &World, _: &Key, _: &[&Self]) -> BTreeSet<Unit> {
        BTreeSet::new()
    }
}

/// Watches one of our kinds until the end.
pub(crate) async fn declared<K: Declared>(source: &Source, listed: Condition) {
    let Source {
        client,
        context,
        shutdown,
    } = source;
    let api: Api<Guard<K>> = Api::all(client.clone());
    let stream = watcher(api, config()).default_backoff();
    let mut unseen = BTreeSet::new();
    follow(stream, shutdown, K::kind(&()).as_ref(), |event| match event {
        watcher::Event::Init => unseen = K::keys(&context.world()),
        watcher::Event::InitApply(guard) => {
            unseen.remove(&Key::of(&guard));
            store(context, guard, listed.is_met());
        }
        watcher::Event::InitDone => {
            for key in std::mem::take(&mut unseen) {
                change::<K>(context, &key, None, listed.is_met());
            }
            listed.set(true);
        }
        watcher::Event::Apply(guard) => store(context, guard, listed.is_met()),
        watcher::Event::Delete(guard) => {
            let key = Key::of(&guard);
            K::note_unreadable(&mut context.world_mut(), &key, false);
            change::<K>(context, &key, None, listed.is_met());
        }
    })
    .await;
}

/// Watches the labels and annotations of namespaces until the end.
pub(crate) async fn namespaces(source: &Source, listed: Condition) {
    let Source {
        client,
        context,
        shutdown,
    } = source;
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let stream = watcher(api, config()).default_backoff();
    let note = |name: &str, namespace: Option<&PartialObjectMeta<Namespace>>| {
        let labels = namespace.map(|found| found.labels().clone());
        let annotations = namespace.map(|found| found.annotations().clone());
        let changed = {
            let mut world = context.world_mut();
            let relabelled = world.set_namespace(name, labels);
            world.set_annotations(name, annotations.unwrap_or_default()) || relabelled
        };
        if changed && listed.is_met() {
            push(context, affected::by_namespace(&context.world(), name));
            push_later(context, affected::held_in(&context.world(), name));
        }
    };
    let mut unseen = BTreeSet::new();
    follow(stream, shutdown, "Namespace", |event| match event {
        watcher::Event::Init => unseen = context.world().namespaces().map(str::to_owned).collect(),
        watcher::Event::InitDone => {
            for name in std::mem::take(&mut unseen) {
                note(&name, None);
            }
            listed.set(true);
        }
        watcher::Event::InitApply(namespace) => {
            unseen.remove(&namespace.name_any());
            note(&namespace.name_any(), Some(&namespace));
        }
        watcher::Event::Apply(namespace) => note(&namespace.name_any(), Some(&namespace)),
        watcher::Event::Delete(namespace) => note(&namespace.name_any(), None),
    })
    .await;
}

/// Watches for changed Secrets until the end. Kept of each is a number that tells its versions apart, and
/// of ours whose they are.
pub(crate) async fn secrets(source: &Source, listed: Condition) {
    let Source {
        client,
        context,
        shutdown,
    } = source;
    let api: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    let stream = watcher(api, config()).default_backoff();
    let changed = |key: &Key, binding: Option<Key>| {
        if listed.is_met() {
            push(context, binding.into_iter().map(Unit::Sync).collect());
            push(context, affected::by_secret(&context.world(), key));
        }
    };
    let gone = |key: &Key| {
        context.versions.lose(key);
        changed(key, context.syncs.lose(key));
        push(context, affected::by_place(&context.world(), key));
    };
    let mut unseen = BTreeSet::new();
    follow(stream, shutdown, "Secret", |event| match event {
        watcher::Event::Init => {
            unseen = context.syncs.keys().into_iter().collect();
            context.versions.begin_list();
        }
        watcher::Event::InitDone => {
            std::mem::take(&mut unseen).iter().for_each(gone);
            context.versions.end_list();
            listed.set(true);
        }
        watcher::Event::InitApply(secret) | watcher::Event::Apply(secret) => {
            let key = Key::of(&secret);
            unseen.remove(&key);
            context.versions.see(&secret);
            changed(&key, context.syncs.see(&secret));
        }
        watcher::Event::Delete(secret) => gone(&Key::of(&secret)),
    })
    .await;
}

/// Watches for changed ConfigMaps until the end. Nothing of them is kept: those that bindings name are read.
pub(crate) async fn config_maps(source: &Source, listed: Condition) {
    let Source {
        client,
        context,
        shutdown,
    } = source;
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::all(client.clone());
    let stream = watcher(api, config()).default_backoff();
    follow(stream, shutdown, "ConfigMap", |event| match event {
        watcher::Event::Init => {}
        // One that went while we did not look is found missing when it is read.
        watcher::Event::InitDone => {
            let named = {
                let world = context.world();
                let bindings = world.bindings();
                bindings
                    .flat_map(|(key, found)| affected::config_maps(key, &[found]))
                    .collect()
            };
            push(context, named);
            listed.set(true);
        }
        watcher::Event::InitApply(found) | watcher::Event::Apply(found) | watcher::Event::Delete(found) => {
            push(
                context,
                affected::by_config_map(&context.world(), &Key::of(&found))
                    .into_iter()
                    .collect(),
            );
        }
    })
    .await;
}

/// Hands each event over until the end is asked for.
pub(crate) async fn follow<K>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    shutdown: &Shutdown,
    kind: &str,
    mut handle: impl FnMut(watcher::Event<K>),
) {
    let mut stream = pin!(stream);
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            () = shutdown.requested() => return,
        };
        match event {
            Some(Ok(event)) => handle(event),
            Some(Err(error)) => tracing::warn!(kind, %error, "the watch broke; it is taken up again"),
            None => return,
        }
    }
}

/// Stores an object as it came. One that can't be read leaves what was known of it in place.
fn store<K: Declared>(context: &Context, guard: Guard<K>, synced: bool) {
    let key = Key::of(&guard);
    match guard.0 {
        Ok(object) => {
            K::note_unreadable(&mut context.world_mut(), &key, false);
            change::<K>(context, &key, Some(&Arc::new(slim(object))), synced);
        }
        Err(unreadable) => {
            K::note_unreadable(&mut context.world_mut(), &key, true);
            tracing::warn!(kind = %K::kind(&()), ?key, error = unreadable.error, "an object can't be read; what it said before holds");
        }
    }
}

/// Takes off what nobody reads: it would be more than half of an object. What is left is copied, because
/// a copy's lists have no room for more, and that would be a third again.
fn slim<K: Resource + Clone>(mut object: K) -> K {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
    object.clone()
}

/// Changes the world and queues what that touches. Before the first list is complete nothing is
/// queued: a world of which a half is missing would have the other half deleted.
fn change<K: Declared>(context: &Context, key: &Key, new: Option<&Arc<K>>, synced: bool) {
    let old = {
        let mut world = context.world_mut();
        let late =
            matches!((K::get(&world, key), new), (Some(old), Some(new)) if is_older(new.as_ref(), old));
        if late {
            return;
        }
        K::put(&mut world, key, new.cloned())
    };
    let same = matches!((&old, new), (Some(old), Some(new)) if !matters(old.as_ref(), new.as_ref()));
    if synced && !same {
        let states: Vec<&K> = old.iter().chain(new).map(AsRef::as_ref).collect();
        push(context, K::affected(&context.world(), key, &states));
        push_later(context, K::affected_later(&context.world(), key, &states));
    }
}

/// Whether `one` is an earlier state of the same object than `other`. Versions can be compared since
/// Kubernetes 1.35; where they are no numbers, nothing is older.
fn is_older<K: Resource>(one: &K, other: &K) -> bool {
    let version = |object: &K| object.meta().resource_version.as_ref()?.parse::<u128>().ok();
    one.meta().uid == other.meta().uid
        && matches!((version(one), version(other)), (Some(one), Some(other)) if one < other)
}

/// Whether more changed than the status.
fn matters<K: Resource>(old: &K, new: &K) -> bool {
    let (old, new) = (old.meta(), new.meta());
    old.uid != new.uid
        || old.generation != new.generation
        || old.annotations != new.annotations
        || old.deletion_timestamp != new.deletion_timestamp
}

fn push(context: &Context, units: Vec<Unit>) {
    for unit in units {
        context.queue.push(unit);
    }
}

/// One look serves all changes until then: thousands of bindings may touch the same.
fn push_later(context: &Context, units: BTreeSet<Unit>) {
    for unit in units {
        let wait = LATER.mul_f64(0.5 + 0.5 * fastrand::f64());
        context.queue.push_later(unit, wait);
    }
}

/// How everything is watched.
pub(crate) fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

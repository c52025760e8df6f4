use super::*;
use futures::stream;
use std::convert::Infallible;
use tokio::time::Instant;

type Part = Result<&'static [u8], Infallible>;

fn parts(parts: &[&'static str]) -> impl Stream<Item = Part> + use<> {
    stream::iter(
        parts
            .iter()
            .map(|part| Ok(part.as_bytes()))
            .collect::<Vec<Part>>(),
    )
}

fn silence() -> impl Stream<Item = Part> {
    stream::pending()
}

#[tokio::test]
async fn the_parts_become_one() {
    let body = Bodies::new().read(5, parts(&["he", "", "llo"])).await.unwrap();
    assert_eq!(body.bytes, b"hello");
}

#[tokio::test]
async fn more_than_was_said_is_refused() {
    let missing = Bodies::new().read(4, parts(&["he", "llo"])).await.unwrap_err();
    assert_eq!(missing, Missing::Broken);
}

#[tokio::test]
async fn a_broken_connection_ends_it() {
    let body = stream::iter([Ok(b"he".as_slice()), Err(())]);
    assert_eq!(Bodies::new().read(5, body).await.unwrap_err(), Missing::Broken);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_time_however_often_a_part_of_it_comes() {
    let begun = Instant::now();
    let drip = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Part::Ok(b"x".as_slice()), ()))
    });
    assert_eq!(Bodies::new().read(100, drip).await.unwrap_err(), Missing::Late);
    assert_eq!(begun.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn large_ones_wait_for_each_other_and_small_ones_for_nobody_else() {
    let bodies = Bodies::new();
    let slow: Vec<_> = (0..LARGE_AT_ONCE)
        .map(|_| {
            let bodies = bodies.clone();
            tokio::spawn(async move { bodies.read(MAX, silence()).await.map(drop) })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let small = bodies.read(SMALL, parts(&["small"])).await.unwrap();
    assert_eq!(
        (small.bytes.as_slice(), begun.elapsed()),
        (b"small".as_slice(), Duration::ZERO)
    );

    let large = bodies.read(SMALL + 1, parts(&["large"])).await.unwrap();
    assert_eq!(
        begun.elapsed(),
        Duration::from_secs(4),
        "until the slow ones had their time"
    );
    assert_eq!(large.bytes, b"large");
    for task in slow {
        assert_eq!(task.await.unwrap(), Err(Missing::Late));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_room_in_time_is_late() {
    let bodies = Bodies::new();
    let mut held = Vec::new();
    for _ in 0..SMALL_AT_ONCE {
        held.push(bodies.read(1, parts(&["x"])).await.unwrap());
    }
    assert_eq!(bodies.read(1, parts(&["x"])).await.unwrap_err(), Missing::Late);
    drop(held);
    assert!(
        bodies.read(1, parts(&["x"])).await.is_ok(),
        "its room is free again"
    );
}

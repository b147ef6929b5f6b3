//! Peers: two sides that find each other by name, between objects of one process.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Event, Kind, Message, Peer, Queue};
use shm_segment::{Options, Scope, Waited};

use crate::common::Name;

type Side = Peer;

const NOW: Duration = Duration::ZERO;
/// A wait that ends before that.
const SOON: Duration = Duration::from_secs(5);
const BUFFER: u64 = 4096;

fn open(name: &str) -> Side {
    try_open(name).unwrap()
}

fn try_open(name: &str) -> Result<Side, Error> {
    Side::open(name, BUFFER, Scope::Local)
}

fn bytes(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn receive(side: &Side, timeout: Duration) -> Result<Vec<u8>, Error> {
    side.receive(timeout, |message| message.to_vec())
}

fn request(side: &Side, content: &[u8], timeout: Duration) -> Result<Vec<u8>, Error> {
    side.request(&bytes(content), timeout, |message| message.to_vec())
}

fn event(side: &Side) -> Option<Event<Vec<u8>>> {
    side.next_event::<_, Error>(|message| message.to_vec()).unwrap()
}

fn send(side: &Side, content: &[u8]) {
    side.send(&bytes(content), NOW).unwrap();
}

/// Returns two sides that are connected.
fn connected(name: &str) -> (Side, Side) {
    let sides = (open(name), open(name));
    connect(&sides.0, &sides.1);
    sides
}

fn connect(first: &Side, second: &Side) {
    let start = Instant::now();
    // Each side answers the other one in its own calls.
    while [first, second].map(|side| side.is_connected().unwrap()) != [true; 2] {
        assert!(start.elapsed() < SOON, "the sides don't find each other");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_sides_exchange_messages_in_both_directions() {
    let name = Name::new();
    let (first, second) = connected(&name);
    for round in 0..1000_u32 {
        send(&first, &round.to_le_bytes());
        send(&second, &(round + 7).to_le_bytes());
        assert_eq!(receive(&second, NOW).unwrap(), round.to_le_bytes());
        assert_eq!(receive(&first, NOW).unwrap(), (round + 7).to_le_bytes());
    }
    assert!(matches!(receive(&first, NOW), Err(Error::Empty)));
    drop((first, second));
    assert!(!name.exists());
}

#[test]
fn a_message_without_a_partner_is_refused() {
    let name = Name::new();
    let first = open(&name);
    assert!(!first.is_connected().unwrap());
    assert!(matches!(first.send(&bytes(b"x"), NOW), Err(Error::NotConnected)));
    assert!(matches!(first.send(&bytes(b"x"), Duration::from_millis(20)), Err(Error::WaitTimedOut { .. })));
    assert!(matches!(request(&first, b"x", Duration::from_millis(20)), Err(Error::WaitTimedOut { .. })));
    assert_eq!(first.wait_connected(Duration::from_millis(20)).unwrap(), Waited::TimedOut);
    // With a timeout, a message waits for its partner.
    let second = thread::scope(|scope| {
        let sender = scope.spawn(|| first.send(&bytes(b"hello"), SOON));
        thread::sleep(Duration::from_millis(30));
        let second = open(&name);
        assert_eq!(receive(&second, SOON).unwrap(), b"hello");
        sender.join().unwrap().unwrap();
        second
    });
    assert_eq!(second.wait_connected(NOW).unwrap(), Waited::Changed);
}

#[test]
fn a_timeout_names_the_part_that_was_missing() {
    fn missing<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
        match result {
            Err(Error::WaitTimedOut { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    let name = Name::new();
    let first = open(&name);
    let soon = Duration::from_millis(20);
    assert_eq!(missing(first.send(&bytes(b"x"), soon)), "partner");
    assert_eq!(missing(request(&first, b"x", soon)), "partner");
    assert_eq!(missing(receive(&first, soon)), "message");
    let second = open(&name);
    connect(&first, &second);
    assert_eq!(missing(request(&first, b"x", soon)), "answer");
    while first.send(&bytes(&[1; 100]), NOW).is_ok() {}
    assert_eq!(missing(first.send(&bytes(&[1; 100]), soon)), "room for the message");
    assert_eq!(missing(request(&first, &[1; 100], soon)), "room for the message");
    // A partner that has ended is missing, whether or not there is room.
    second.close();
    while !matches!(first.send(&bytes(b"x"), NOW), Err(Error::NotConnected)) {}
    assert_eq!(missing(first.send(&bytes(&[1; 100]), soon)), "partner");
}

#[test]
fn a_third_side_is_refused() {
    let name = Name::new();
    let sides = connected(&name);
    assert!(matches!(try_open(&name), Err(Error::BothSidesTaken)));
    send(&sides.0, b"still there");
    assert_eq!(receive(&sides.1, NOW).unwrap(), b"still there");
    drop(sides.1);
    open(&name);
}

#[test]
fn a_request_returns_its_own_answer_only() {
    let name = Name::new();
    let (game, trainer) = connected(&name);
    // The first request is not answered in time.
    let timeout = Duration::from_millis(20);
    assert!(matches!(request(&trainer, b"first", timeout), Err(Error::WaitTimedOut { .. })));
    assert_eq!(receive(&game, NOW).unwrap(), b"first");
    send(&game, b"answer to the first");
    send(&game, b"another message");
    thread::scope(|scope| {
        let game = scope.spawn(|| {
            assert_eq!(receive(&game, SOON).unwrap(), b"second");
            send(&game, b"answer to the second");
            send(&game, b"not an answer");
        });
        assert_eq!(request(&trainer, b"second", SOON).unwrap(), b"answer to the second");
        game.join().unwrap();
    });
    assert_eq!(trainer.late_answers().unwrap(), 1);
    assert_eq!(trainer.count().unwrap(), 2);
    assert_eq!(receive(&trainer, NOW).unwrap(), b"another message");
    assert_eq!(receive(&trainer, NOW).unwrap(), b"not an answer");
    assert!(matches!(receive(&trainer, NOW), Err(Error::Empty)));
}

#[test]
fn a_request_while_another_thread_receives_gets_its_answer() {
    let name = Name::new();
    let (game, trainer) = connected(&name);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut events = Vec::new();
            while events.last().is_none_or(|last| last != b"end") {
                events.push(receive(&trainer, SOON).unwrap());
            }
            events.len()
        });
        let answering = scope.spawn(|| {
            for round in 0..2000_u32 {
                let asked = receive(&game, SOON).unwrap();
                assert_eq!(asked, round.to_le_bytes());
                game.send(&bytes(&asked), SOON).unwrap();
                game.send(&bytes(b"an event"), SOON).unwrap();
            }
            game.send(&bytes(b"end"), SOON).unwrap();
        });
        for round in 0..2000_u32 {
            assert_eq!(request(&trainer, &round.to_le_bytes(), SOON).unwrap(), round.to_le_bytes());
        }
        answering.join().unwrap();
        assert_eq!(receiver.join().unwrap(), 2001);
    });
    assert_eq!(trainer.late_answers().unwrap(), 0);
}

#[test]
fn a_second_request_of_another_thread_is_refused() {
    let name = Name::new();
    let (game, trainer) = connected(&name);
    thread::scope(|scope| {
        let first = scope.spawn(|| request(&trainer, b"first", SOON));
        assert_eq!(receive(&game, SOON).unwrap(), b"first");
        assert!(matches!(request(&trainer, b"second", NOW), Err(Error::RequestInProgress)));
        send(&game, b"answer");
        assert_eq!(first.join().unwrap().unwrap(), b"answer");
    });
}

#[test]
fn what_a_side_had_sent_before_its_end_is_received() {
    let name = Name::new();
    let (first, second) = connected(&name);
    send(&first, b"one");
    send(&first, b"two");
    drop(first);
    assert!(!second.is_connected().unwrap());
    assert_eq!(receive(&second, NOW).unwrap(), b"one");
    assert_eq!(receive(&second, NOW).unwrap(), b"two");
    assert!(matches!(receive(&second, SOON), Err(Error::PartnerGone { .. })));
    // Once.
    assert!(matches!(receive(&second, NOW), Err(Error::Empty)));
    assert!(matches!(second.send(&bytes(b"x"), NOW), Err(Error::NotConnected)));
}

#[test]
fn the_border_between_two_partners_is_told_once() {
    let name = Name::new();
    let (first, second) = connected(&name);
    send(&first, b"from the first");
    // The first one never reads it, and neither does the next one.
    send(&second, b"to the first");
    drop(first);
    let third = open(&name);
    assert_eq!(receive(&second, SOON).unwrap(), b"from the first");
    assert!(matches!(receive(&second, SOON), Err(Error::PartnerGone { .. })));
    thread::scope(|scope| {
        scope.spawn(|| third.send(&bytes(b"from the third"), SOON).unwrap());
        assert_eq!(receive(&second, SOON).unwrap(), b"from the third");
    });
    send(&second, b"to the third");
    assert_eq!(receive(&third, SOON).unwrap(), b"to the third");
}

#[test]
fn events_come_in_order() {
    let name = Name::new();
    let first = open(&name);
    assert_eq!(event(&first), None);
    let second = open(&name);
    connect(&first, &second);
    assert_eq!(event(&first), Some(Event::Connected));
    send(&second, b"hello");
    drop(second);
    let third = open(&name);
    assert_eq!(event(&first), Some(Event::Message(b"hello".to_vec())));
    assert_eq!(event(&first), Some(Event::Disconnected));
    connect_through_events(&first, &third);
    send(&third, b"hi");
    assert_eq!(event(&first), Some(Event::Message(b"hi".to_vec())));
    assert_eq!(event(&first), None);
    // The events have told of the border.
    assert!(matches!(receive(&first, NOW), Err(Error::Empty)));
}

fn connect_through_events(first: &Side, second: &Side) {
    let start = Instant::now();
    while event(first) != Some(Event::Connected) {
        assert!(start.elapsed() < SOON);
        thread::sleep(Duration::from_millis(1));
        let _ = second.is_connected().unwrap();
    }
    connect(first, second);
}

#[test]
fn a_request_fails_once_if_its_partner_ends() {
    let name = Name::new();
    let (game, trainer) = connected(&name);
    thread::scope(|scope| {
        let asking = scope.spawn(|| request(&trainer, b"?", SOON));
        assert_eq!(receive(&game, SOON).unwrap(), b"?");
        drop(game);
        assert!(matches!(asking.join().unwrap(), Err(Error::PartnerGone { .. })));
    });
    let game = open(&name);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(receive(&game, SOON).unwrap(), b"again");
            send(&game, b"!");
        });
        assert_eq!(request(&trainer, b"again", SOON).unwrap(), b"!");
    });
}

#[test]
fn full_buffers_don_t_keep_a_new_partner_away() {
    let name = Name::new();
    let (first, second) = connected(&name);
    while first.send(&bytes(&[1; 500]), NOW).is_ok() {}
    while second.send(&bytes(&[2; 500]), NOW).is_ok() {}
    drop(first);
    let third = open(&name);
    let mut count = 0;
    loop {
        match receive(&second, SOON) {
            Ok(message) => {
                assert_eq!(message, [1; 500]);
                count += 1;
            }
            Err(Error::PartnerGone { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(count > 4);
    connect(&second, &third);
    send(&second, b"to the third");
    assert_eq!(receive(&third, NOW).unwrap(), b"to the third");
}

#[test]
fn close_ends_a_wait() {
    let name = Name::new();
    let side = Arc::new(open(&name));
    let waiting = {
        let side = side.clone();
        thread::spawn(move || receive(&side, SOON * 100))
    };
    thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    side.close();
    assert!(matches!(waiting.join().unwrap(), Err(Error::Stopped)));
    assert!(start.elapsed() < Duration::from_millis(500));
    assert!(matches!(side.send(&bytes(b"x"), NOW), Err(Error::Stopped)));
    assert!(!name.exists());
}

#[test]
fn the_longest_message_fits_with_every_number() {
    let name = Name::new();
    let (first, second) = connected(&name);
    let longest = vec![7; usize::try_from(first.max_message_size().unwrap()).unwrap()];
    for skip in 0..64 {
        send(&first, &longest[skip..]);
        assert_eq!(receive(&second, NOW).unwrap(), longest[skip..]);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(receive(&second, SOON).unwrap(), longest);
                second.send(&bytes(&longest), SOON).unwrap();
            });
            assert_eq!(request(&first, &longest, SOON).unwrap(), longest);
        });
    }
    let too_long = [longest, vec![0]].concat();
    assert!(matches!(first.send(&bytes(&too_long), NOW), Err(Error::TooLarge { .. })));
}

#[test]
fn other_memory_under_the_name_is_left_alone() {
    let name = Name::new();
    let segment = Options::new(&name).create(65536).unwrap();
    assert!(matches!(try_open(&name), Err(Error::NotLaidOutYet { .. })));
    Queue::attach(&segment, 4096, 1).unwrap();
    assert!(matches!(try_open(&name), Err(Error::Invalid { .. })));
    drop(segment);
    open(&name);
}

#[test]
fn a_side_goes_to_the_memory_that_its_name_leads_to() {
    let name = Name::new();
    let first = open(&name);
    name.remove().unwrap();
    let second = open(&name);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| first.wait_connected(SOON).unwrap());
        assert_eq!(second.wait_connected(SOON).unwrap(), Waited::Changed);
        assert_eq!(waiting.join().unwrap(), Waited::Changed);
    });
    send(&first, b"here");
    assert_eq!(receive(&second, NOW).unwrap(), b"here");
}

#[test]
fn the_count_is_that_of_the_messages_before_the_border() {
    let name = Name::new();
    let (first, second) = connected(&name);
    assert_eq!(second.count().unwrap(), 0);
    for sent in 1..=50_u8 {
        send(&first, &[sent]);
        assert_eq!(second.count().unwrap(), u64::from(sent));
    }
    for left in (25..50_u64).rev() {
        receive(&second, NOW).unwrap();
        assert_eq!(second.count().unwrap(), left);
    }
    drop(first);
    let third = open(&name);
    assert_eq!(second.count().unwrap(), 25);
    for left in (0..25).rev() {
        receive(&second, NOW).unwrap();
        assert_eq!(second.count().unwrap(), left);
    }
    connect(&second, &third);
    assert_eq!(second.count().unwrap(), 0);
    send(&third, b"x");
    assert_eq!(second.count().unwrap(), 1);
}

#[test]
fn sizes_of_buffers_are_checked() {
    let name = Name::new();
    for size in [0, 4095, (1 << 30) + 1, u64::MAX] {
        let opened = Side::open(&name, size, Scope::Local);
        assert!(matches!(opened, Err(Error::InvalidElementSize { .. })), "{size}");
    }
    assert!(!name.exists());
}

#[test]
fn a_request_of_an_ended_partner_is_not_answered_to_the_next_one() {
    let name = Name::new();
    let (first, second) = connected(&name);
    // While `second` waits for an answer, a request of `first` comes, and then its end.
    let timeout = Duration::from_millis(200);
    thread::scope(|scope| {
        let asking = scope.spawn(|| request(&second, b"?", SOON));
        assert_eq!(receive(&first, SOON).unwrap(), b"?");
        assert!(matches!(request(&first, b"question", timeout), Err(Error::WaitTimedOut { .. })));
        first.close();
        assert!(matches!(asking.join().unwrap(), Err(Error::PartnerGone { .. })));
    });
    let third = open(&name);
    // Not before the question was received: it is of the previous partner.
    assert_eq!(receive(&second, SOON).unwrap(), b"question");
    assert!(matches!(receive(&second, NOW), Err(Error::PartnerGone { .. })));
    connect(&second, &third);
    thread::scope(|scope| {
        // Its first request has the same number.
        let asking = scope.spawn(|| request(&third, b"another question", SOON));
        thread::sleep(timeout);
        send(&second, b"to nobody's question");
        assert_eq!(receive(&second, SOON).unwrap(), b"another question");
        send(&second, b"answer");
        assert_eq!(asking.join().unwrap().unwrap(), b"answer");
    });
    assert_eq!(receive(&third, NOW).unwrap(), b"to nobody's question");
}

#[test]
fn a_flood_of_messages_doesn_t_grow_the_memory_of_a_request() {
    let name = Name::new();
    let (first, second) = connected(&name);
    thread::scope(|scope| {
        // It isn't received, so what `first` sends is no answer.
        let asking = scope.spawn(|| request(&second, b"?", Duration::from_millis(300)));
        let start = Instant::now();
        let mut sent = 0;
        while !asking.is_finished() {
            sent += u64::from(first.send(&bytes(&[0; 100]), Duration::from_millis(5)).is_ok());
            assert!(start.elapsed() < SOON, "the request doesn't end");
        }
        assert!(matches!(asking.join().unwrap(), Err(Error::WaitTimedOut { .. })));
        assert!(sent < 2 * BUFFER / 100 + 10, "{sent} messages were kept");
        // None of them is lost.
        for _ in 0..sent {
            receive(&second, NOW).unwrap();
        }
        assert!(matches!(receive(&second, NOW), Err(Error::Empty)));
    });
}

#[test]
fn a_side_that_only_sends_learns_of_the_end_of_its_partner() {
    for (is_full, has_unread) in [(false, false), (false, true), (true, false), (true, true)] {
        let name = Name::new();
        let (first, second) = connected(&name);
        if has_unread {
            send(&second, b"last");
        }
        if is_full {
            while first.send(&bytes(&[1; 100]), NOW).is_ok() {}
        }
        drop(second);
        let start = Instant::now();
        let case = format!("full: {is_full}, unread: {has_unread}");
        while !matches!(first.send(&bytes(b"x"), NOW), Err(Error::NotConnected)) {
            assert!(start.elapsed() < SOON, "{case}");
            thread::sleep(Duration::from_millis(1));
        }
        let soon = Duration::from_millis(20);
        assert!(matches!(first.send(&bytes(b"x"), soon), Err(Error::WaitTimedOut { .. })), "{case}");
        assert_eq!(first.wait_connected(NOW).unwrap(), Waited::TimedOut, "{case}");
        // Its last messages, and its end, can still be received.
        if has_unread {
            assert_eq!(receive(&first, NOW).unwrap(), b"last", "{case}");
        }
        assert!(matches!(receive(&first, SOON), Err(Error::PartnerGone { .. })), "{case}");
        let third = open(&name);
        connect(&first, &third);
        send(&first, b"next");
        assert_eq!(receive(&third, SOON).unwrap(), b"next", "{case}");
    }
}

#[test]
fn a_side_with_unread_messages_does_not_send_to_their_dead_sender() {
    for has_looked in [false, true] {
        let name = Name::new();
        let (first, second) = connected(&name);
        send(&second, b"one");
        send(&second, b"two");
        if has_looked {
            assert_eq!(first.count().unwrap(), 2);
        }
        // The next partner has the same side, so its lock is held.
        drop(second);
        let third = open(&name);
        assert!(matches!(first.send(&bytes(b"lost"), NOW), Err(Error::NotConnected)));
        assert!(!first.is_connected().unwrap());
        let soon = Duration::from_millis(20);
        assert!(matches!(first.send(&bytes(b"lost"), soon), Err(Error::WaitTimedOut { .. })));
        assert!(matches!(request(&first, b"lost", soon), Err(Error::WaitTimedOut { .. })));
        assert_eq!(receive(&first, NOW).unwrap(), b"one");
        // The program has just received from it.
        assert!(matches!(first.send(&bytes(b"lost"), NOW), Err(Error::PartnerGone { .. })));
        assert!(matches!(first.send(&bytes(b"lost"), NOW), Err(Error::NotConnected)));
        assert_eq!(first.count().unwrap(), 1);
        assert_eq!(receive(&first, NOW).unwrap(), b"two");
        assert!(matches!(receive(&first, NOW), Err(Error::PartnerGone { .. })));
        connect(&first, &third);
        send(&first, b"to the third");
        assert_eq!(receive(&third, NOW).unwrap(), b"to the third");
    }
}

#[test]
fn a_request_tells_that_the_sender_of_unread_messages_is_dead() {
    for is_receiver_told in [false, true] {
        let name = Name::new();
        let (first, second) = connected(&name);
        send(&first, b"to the second");
        send(&second, b"last");
        drop(second);
        let third = open(&name);
        assert!(matches!(request(&first, b"lost", SOON), Err(Error::PartnerGone { .. })));
        assert_eq!(receive(&first, NOW).unwrap(), b"last");
        if is_receiver_told {
            assert!(matches!(receive(&first, NOW), Err(Error::PartnerGone { .. })));
        } else {
            // It may be about the message that was just received.
            assert!(matches!(request(&first, b"lost", SOON), Err(Error::PartnerGone { .. })));
        }
        thread::scope(|scope| {
            let answering = scope.spawn(|| {
                assert_eq!(receive(&third, SOON).unwrap(), b"to the third");
                send(&third, b"answer");
            });
            assert_eq!(request(&first, b"to the third", SOON).unwrap(), b"answer");
            answering.join().unwrap();
        });
        assert!(matches!(receive(&first, NOW), Err(Error::Empty)));
    }
}

#[test]
fn the_end_is_told_right_after_the_last_message() {
    for is_known in [false, true] {
        let name = Name::new();
        let (first, second) = connected(&name);
        send(&first, b"last");
        drop(first);
        if is_known {
            assert!(!second.is_connected().unwrap());
        }
        assert_eq!(receive(&second, NOW).unwrap(), b"last");
        assert!(matches!(receive(&second, NOW), Err(Error::PartnerGone { .. })), "{is_known}");
        assert!(matches!(receive(&second, NOW), Err(Error::Empty)));
    }
}

#[test]
fn a_message_for_an_ended_partner_is_not_sent_to_the_next_one() {
    // The ways in which a program knows its partner.
    for way in ["has sent", "has received", "was told"] {
        for timeout in [NOW, SOON] {
            let name = Name::new();
            let (first, second) = connected(&name);
            match way {
                "has sent" => send(&first, b"to the second"),
                "has received" => {
                    send(&second, b"from the second");
                    assert_eq!(receive(&first, SOON).unwrap(), b"from the second");
                }
                _ => assert_eq!(event(&first), Some(Event::Connected)),
            }
            drop(second);
            let third = open(&name);
            let refused = first.send(&bytes(b"to the second"), timeout);
            assert!(matches!(refused, Err(Error::PartnerGone { .. })), "{way}: {refused:?}");
            first.send(&bytes(b"to the third"), SOON).unwrap();
            assert_eq!(receive(&third, SOON).unwrap(), b"to the third", "{way}");
            // The end is told to the receiver, too.
            assert!(matches!(receive(&first, NOW), Err(Error::PartnerGone { .. })), "{way}");
            assert!(matches!(receive(&first, NOW), Err(Error::Empty)), "{way}");
            send(&first, b"next");
            assert_eq!(receive(&third, SOON).unwrap(), b"next", "{way}");
        }
    }
}

#[test]
fn a_request_for_an_ended_partner_is_not_sent_to_the_next_one() {
    let name = Name::new();
    let (first, second) = connected(&name);
    send(&second, b"from the second");
    assert_eq!(receive(&first, SOON).unwrap(), b"from the second");
    drop(second);
    let third = open(&name);
    assert!(matches!(request(&first, b"to the second", SOON), Err(Error::PartnerGone { .. })));
    // Told once.
    assert!(matches!(receive(&first, NOW), Err(Error::Empty)));
    thread::scope(|scope| {
        let answering = scope.spawn(|| {
            assert_eq!(receive(&third, SOON).unwrap(), b"to the third");
            send(&third, b"answer");
        });
        assert_eq!(request(&first, b"to the third", SOON).unwrap(), b"answer");
        answering.join().unwrap();
    });
}

/// Ends `second` after `pause` milliseconds, in which `first` waits for an answer. The request fails then.
fn end_during_a_request(first: &Side, second: Side, pause: u64) {
    thread::scope(|scope| {
        let asking = scope.spawn(|| request(first, b"question", SOON));
        thread::sleep(Duration::from_millis(pause));
        drop(second);
        assert!(matches!(asking.join().unwrap(), Err(Error::PartnerGone { .. })));
    });
}

#[test]
fn messages_in_front_of_an_answer_come_before_the_end_of_their_partner() {
    let name = Name::new();
    let (first, second) = connected(&name);
    send(&second, b"in front");
    end_during_a_request(&first, second, 50);
    // It is told to those who ask, and to those who receive.
    let third = open(&name);
    connect(&first, &third);
    send(&third, b"from the third");
    assert_eq!(receive(&first, NOW).unwrap(), b"in front");
    assert!(matches!(receive(&first, NOW), Err(Error::PartnerGone { .. })));
    assert_eq!(receive(&first, SOON).unwrap(), b"from the third");
}

#[test]
fn a_program_that_only_asks_goes_on_with_the_next_partner() {
    let name = Name::new();
    let (first, second) = connected(&name);
    send(&second, b"never received");
    end_during_a_request(&first, second, 50);
    let third = open(&name);
    thread::scope(|scope| {
        let answering = scope.spawn(move || {
            assert_eq!(receive(&third, SOON).unwrap(), b"to the third");
            send(&third, b"answer");
            third
        });
        assert_eq!(request(&first, b"to the third", SOON).unwrap(), b"answer");
        answering.join().unwrap();
    });
}

#[test]
fn a_request_tells_of_the_end_of_its_partner_once() {
    // The side looks for other memory every 100 ms, which may come before it tells, or after.
    for pause in (40..150).step_by(9) {
        let name = Name::new();
        // It makes the memory, so the name goes with it.
        let second = open(&name);
        let first = open(&name);
        connect(&first, &second);
        end_during_a_request(&first, second, pause);
        assert!(matches!(receive(&first, NOW), Err(Error::Empty)), "{pause}");
    }
}

#[test]
fn each_wait_ends_once_the_caller_does_not_want_it() {
    let name = Name::new();
    let side = open(&name).interrupted_unless(|| false);
    let start = Instant::now();
    assert_eq!(side.wait_connected(SOON).unwrap(), Waited::Stopped);
    assert_eq!(side.wait(SOON).unwrap(), Waited::Stopped);
    assert!(matches!(side.send(&bytes(b"x"), SOON), Err(Error::Stopped)));
    assert!(matches!(receive(&side, SOON), Err(Error::Stopped)));
    assert!(matches!(request(&side, b"x", SOON), Err(Error::Stopped)));
    assert!(start.elapsed() < SOON);
    // It goes on with other calls, and with a partner.
    let other = open(&name);
    assert!(!side.is_connected().unwrap() || other.is_connected().is_ok());
    assert!(matches!(receive(&side, NOW), Err(Error::Empty)));
}

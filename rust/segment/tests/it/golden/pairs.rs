//! Images of pairs. A side chooses its number at random, so each number is replaced by a fixed one.

use std::thread;
use std::time::{Duration, Instant};

use shm_segment::layout::Error;
use shm_segment::layout::native::Peer;
use shm_segment::{Options, Scope, Segment};

use super::{INCARNATION, changed, describe, messages, put_u32, put_u64, result_of, text};
use crate::common::Name;
use crate::common::layouts::{bytes_of, fresh};

/// A pair with rings of 256 bytes. A side that makes a pair takes longer ones, but joins this one.
const SIZE: usize = 1280;
const RING_SIZE: usize = 256;
const LANES: [usize; 2] = [0x100, 0x300];
const RING: usize = 0x100;
/// The offset of the consumer's line in a lane.
const HEAD: usize = 0x80;
/// The numbers of side 0, of side 1, and of the next one that has side 1.
const SIDES: [u64; 3] = [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x3333_3333_3333_3333];
/// The bytes of a mark in a ring, and its size and tag.
const MARK: usize = 24;
const MARK_HEAD: u64 = 16;

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(10);

/// Returns memory that is laid out as `docs/FORMAT.md` tells.
fn laid_out() -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(b"GSM1\x01\0\0\0");
    put_u32(&mut bytes, 0x08, 3);
    put_u32(&mut bytes, 0x0C, 128);
    put_u64(&mut bytes, 0x10, SIZE as u64);
    put_u64(&mut bytes, 0x18, INCARNATION);
    put_u32(&mut bytes, 0x30, 2);
    put_u64(&mut bytes, 0x38, RING_SIZE as u64);
    bytes
}

/// Returns a segment with these bytes. It has a living owner, so each side joins it.
fn with(bytes: &[u8]) -> (Name, Segment) {
    let (name, segment) = fresh(SIZE as u64);
    segment.write(0, bytes).unwrap();
    (name, segment)
}

fn open(name: &str) -> Result<Peer, Error> {
    Peer::open(name, 4096, Scope::Local)
}

/// Lets both sides find each other.
fn connect(sides: [&Peer; 2]) -> Result<(), Error> {
    let start = Instant::now();
    while !(sides[0].is_connected()? & sides[1].is_connected()?) {
        assert!(start.elapsed() < SOON, "the sides don't find each other");
    }
    Ok(())
}

/// Returns the number that a side has written into its mark, which begins there.
fn number_at(segment: &Segment, at: usize) -> u64 {
    segment.load_u64(at as u64 + 8).unwrap()
}

/// Replaces the numbers of sides in a ring.
fn replace(ring: &mut [u8], old: u64, new: u64) {
    for word in ring.chunks_exact_mut(8).filter(|word| **word == old.to_le_bytes()) {
        word.copy_from_slice(&new.to_le_bytes());
    }
}

/// Returns a pair after `use_it`, which gets both sides when they are connected, and may return another side.
fn pair(use_it: impl FnOnce(Peer, Peer, &str) -> Vec<Peer>) -> Vec<u8> {
    let (name, segment) = with(&laid_out());
    let [first, second] = [0; 2].map(|_| open(&name).unwrap());
    let mut numbers: Vec<u64> = LANES.iter().map(|lane| number_at(&segment, lane + RING)).collect();
    connect([&first, &second]).unwrap();
    // They have their sides until the bytes are read.
    let _sides = use_it(first, second, &name);
    let mut bytes = bytes_of(&segment);
    let tail = segment.load_u64(LANES[1] as u64).unwrap() as usize;
    // The last record may be the mark of another side.
    let last = LANES[1] + RING + tail.saturating_sub(MARK) % RING_SIZE;
    if segment.load_u64(last as u64).unwrap() == MARK_HEAD {
        numbers.push(number_at(&segment, last));
    }
    for lane in LANES.map(|lane| lane..lane + RING + RING_SIZE) {
        let lane = &mut bytes[lane];
        for (old, new) in numbers.iter().zip(SIDES) {
            replace(&mut lane[RING..], *old, new);
        }
        // The words of waiting depend on the processor's time.
        put_u64(lane, 0x08, 0);
        put_u64(lane, 0x88, 0);
    }
    bytes
}

/// Returns a pair in which side 1 has sent these messages.
fn sent(contents: &[&str]) -> Vec<u8> {
    pair(|first, second, _| {
        contents.iter().for_each(|content| second.send(&text(content), NOW).unwrap());
        vec![first, second]
    })
}

/// Returns a pair with one message behind the marks of side 1.
pub(super) fn one() -> Vec<u8> {
    sent(&["first"])
}

/// Returns a pair in which side 1 has answered a request.
fn answered() -> Vec<u8> {
    pair(|first, second, _| {
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(second.receive(SOON, |message| message.to_vec()).unwrap(), b"question");
                second.send(&text("answer"), NOW).unwrap();
                second.send(&text("first"), NOW).unwrap();
            });
            let answer = first.request(&text("question"), SOON, |message| message.to_vec()).unwrap();
            assert_eq!(answer, b"answer");
        });
        vec![first, second]
    })
}

/// Returns a pair in which side 1 has sent a request.
fn asked() -> Vec<u8> {
    pair(|first, second, _| {
        let timeout = Duration::from_millis(1);
        let asked = second.request(&text("question"), timeout, |message| message.to_vec());
        assert!(matches!(asked, Err(Error::WaitTimedOut { .. })), "{asked:?}");
        second.send(&text("first"), NOW).unwrap();
        vec![first, second]
    })
}

/// Returns all images that only a pair has.
pub(super) fn images() -> Vec<(String, &'static str, Vec<u8>)> {
    let mut images = Vec::new();
    let mut add = |name: &str, about, bytes| images.push((format!("pair_{name}"), about, bytes));
    // The record behind both marks of side 1.
    let record = LANES[1] + RING + 2 * MARK;

    add("fresh", "Laid out, and no side.", laid_out());
    let joined = || {
        let (name, segment) = with(&laid_out());
        let side = open(&name).unwrap();
        let number = number_at(&segment, LANES[0] + RING);
        let mut bytes = bytes_of(&segment);
        drop(side);
        replace(&mut bytes[LANES[0]..], number, SIDES[0]);
        bytes
    };
    add("joined", "Side 0 has joined.", joined());
    add("connected", "Both sides have joined, and answered the mark of the other one.", sent(&[]));
    add(
        "messages",
        "A message of each kind from side 1.",
        pair(|first, second, _| {
            messages().iter().for_each(|(_, message)| second.send(message, NOW).unwrap());
            vec![first, second]
        }),
    );
    add(
        "around",
        "A message from side 1 behind padding, at the beginning of the ring.",
        pair(|first, second, _| {
            for content in ["x".repeat(64), "y".repeat(64)] {
                second.send(&text(&content), NOW).unwrap();
                first.receive(NOW, |message| message.to_vec()).unwrap();
            }
            second.send(&text(&"z".repeat(60)), NOW).unwrap();
            vec![first, second]
        }),
    );
    add("request", "A request of side 1, and a message.", asked());
    add("answer", "The answer to the first request of side 0, and a message.", answered());
    add(
        "late_answer",
        "The answer to the seventh request of side 0, and a message.",
        changed(answered(), |bytes| put_u64(bytes, record + 8, 7)),
    );
    add(
        "unanswered",
        "A side 1 has sent a message to the side 0 before this one, and not answered the mark of this one.",
        changed(one(), |bytes| put_u64(bytes, LANES[1] + RING + MARK + 16, SIDES[2])),
    );
    add(
        "border",
        "Side 1 has sent a message and closed. Another one has joined.",
        pair(|first, second, name| {
            second.send(&text("first"), NOW).unwrap();
            second.close();
            vec![first, open(name).unwrap()]
        }),
    );
    add(
        "sender_died",
        "Side 1 has died before it published its second message.",
        changed(one(), |bytes| {
            put_u32(bytes, record + 16, 6);
            put_u32(bytes, record + 20, 2);
            bytes[record + 24..record + 30].copy_from_slice(b"second");
            // put[0].
            put_u64(bytes, LANES[1] + 0x10, 2 * MARK as u64 + 32);
            put_u64(bytes, LANES[1] + 0x18, 4);
        }),
    );
    add(
        "receiver_died",
        "Side 0 has died before it told that it has taken the message out.",
        changed(one(), |bytes| {
            // taken[1].
            put_u64(bytes, LANES[1] + HEAD + 0x20, 2 * MARK as u64 + 16);
            put_u64(bytes, LANES[1] + HEAD + 0x28, 3);
        }),
    );
    add(
        "half_header",
        "Its maker has died before the magic number.",
        changed(laid_out(), |bytes| put_u32(bytes, 0, 0)),
    );
    add(
        "reset",
        "The resetting process has died before it emptied the lines.",
        changed(one(), |bytes| put_u64(bytes, 0x18, 0)),
    );

    let mut add_wrong = |name, about, change: &dyn Fn(&mut [u8])| add(name, about, changed(one(), change));
    add_wrong("three_sides", "The header tells of three rings.", &|bytes| {
        put_u32(bytes, 0x30, 3);
        put_u64(bytes, 0x10, 256 + 3 * (256 + RING_SIZE as u64));
    });
    add_wrong("odd_ring", "The size of the rings is not a power of two.", &|bytes| {
        put_u64(bytes, 0x38, 192);
        put_u64(bytes, 0x10, 256 + 2 * (256 + 192));
    });
    add_wrong("long_record", "The message of side 1 is longer than what was put in.", &|bytes| {
        put_u32(bytes, record, 9);
    });
    add_wrong("no_count", "No number of messages belongs to the tail of side 1.", &|bytes| {
        put_u64(bytes, LANES[1] + 0x20, 8);
        put_u64(bytes, LANES[1] + 0x10, 8);
    });
    add_wrong("far", "The ends of both lanes are where a sum of positions overflows.", &|bytes| {
        for lane in LANES {
            for at in [0, 0x10, 0x80, 0x90] {
                put_u64(bytes, lane + at, u64::MAX - 7);
            }
        }
    });
    let two = |change: &dyn Fn(&mut [u8])| changed(sent(&["sixteen letters!", "second"]), change);
    add(
        "unknown_kind",
        "A message of a kind that this version doesn't know, and one that it knows.",
        two(&|bytes| put_u32(bytes, record + 4, 9)),
    );
    add(
        "two_numbers",
        "A message that is a request and an answer, and an ordinary one.",
        two(&|bytes| put_u32(bytes, record + 4, 3 << 30 | 2)),
    );
    add(
        "short_request",
        "A request without room for its number, and an ordinary message.",
        changed(sent(&["four", "second"]), |bytes| put_u32(bytes, record + 4, 1 << 30 | 2)),
    );
    let mark = |from: u64, to: u64, size: u32| {
        two(&move |bytes| {
            put_u32(bytes, record, size);
            put_u32(bytes, record + 4, 0);
            put_u64(bytes, record + 8, from);
            put_u64(bytes, record + 16, to);
        })
    };
    add("mark_of_nobody", "A mark from the number 0, and a message.", mark(0, 0, 16));
    add("mark_to_another", "An answer to a side that is not there, and a message.", mark(SIDES[1], 5, 16));
    add("short_mark", "A mark of 12 bytes, and a message.", mark(SIDES[2], 0, 12));
    images
}

/// Returns the word for a result.
fn word_of<T>(result: Result<T, Error>, done: impl FnOnce(T) -> String) -> String {
    match result {
        Err(Error::PartnerGone { .. }) => "gone".to_owned(),
        Err(Error::WaitTimedOut { .. }) => "none".to_owned(),
        Err(Error::NotConnected) => "not_connected".to_owned(),
        Err(Error::Invalid { layout: "native pair", limit, .. }) if limit.starts_with("no program") => {
            "damaged".to_owned()
        }
        result => result_of(result, done),
    }
}

/// Two sides join the memory, and each sends a text to the other one.
fn both(image: &[u8]) -> Result<(), Error> {
    let (name, _segment) = with(image);
    let (first, second) = (open(&name)?, open(&name)?);
    connect([&first, &second])?;
    for (from, to) in [(&first, &second), (&second, &first)] {
        from.send(&text(&"z".repeat(20)), NOW)?;
        assert_eq!(to.receive(NOW, |message| message.to_vec())?, "z".repeat(20).as_bytes());
        assert!(matches!(to.receive(NOW, |message| message.to_vec()), Err(Error::Empty)));
    }
    Ok(())
}

/// Takes side 0 of fresh memory, and then puts the bytes there that side 1 of the image has stored. Calls
/// `act` with side 0, the memory, and the other side's lock, which is given back with it.
fn beside<R>(image: &[u8], act: impl FnOnce(&Peer, &Segment, Peer) -> R) -> R {
    let (name, segment) = with(&laid_out());
    let (first, second) = (open(&name).unwrap(), open(&name).unwrap());
    let own = number_at(&segment, LANES[0] + RING);
    let mut lane = image[LANES[1]..][..RING + RING_SIZE].to_vec();
    replace(&mut lane[RING..], SIDES[0], own);
    segment.write(LANES[1] as u64 + RING as u64, &lane[RING..]).unwrap();
    segment.write(LANES[1] as u64, &lane[..HEAD]).unwrap();
    act(&first, &segment, second)
}

fn receive_all(side: &Peer, role: &'static str, roles: &mut Vec<(&'static str, String)>) {
    loop {
        let result = word_of(side.receive(NOW, describe), |message| message);
        let is_last = result == "empty" || result == "damaged";
        roles.push((role, result));
        if is_last {
            break;
        }
    }
}

/// Returns the tag of the last record of side 0, and its number if it has one.
fn last_sent(segment: &Segment, content: &str) -> String {
    let (tail, size) = (segment.load_u64(LANES[0] as u64).unwrap(), content.len() as u64);
    let end = LANES[0] as u64 + RING as u64 + tail % RING_SIZE as u64;
    let at = |size: u64| end - 8 - size.next_multiple_of(8);
    let tag = |size| segment.load_u32(at(size) + 4).unwrap();
    if segment.load_u32(at(size)).unwrap() == content.len() as u32 {
        return format!("sent {:08x}", tag(size));
    }
    let number = segment.load_u64(at(size + 8) + 8).unwrap();
    format!("sent {:08x} {number}", tag(size + 8))
}

pub(super) fn roles(image: &[u8]) -> Vec<(&'static str, String)> {
    let mut roles = vec![("both", word_of(both(image), |()| "ok".to_owned()))];
    let (name, _segment) = with(image);
    let messages = Options::new(&name).info().unwrap().messages;
    let found = messages.map(|messages| format!("{} {}", messages.layout, messages.count));
    roles.push(("look", found.unwrap_or_else(|| "nothing".to_owned())));
    // These get the lane of side 1 alone, from its beginning on.
    let tail = u64::from_le_bytes(image[LANES[1]..][..8].try_into().unwrap());
    let has_gone_around = (RING_SIZE as u64..1 << 62).contains(&tail);
    if has_gone_around || image[..128] != laid_out()[..128] {
        return roles;
    }
    beside(image, |side, segment, other| {
        receive_all(side, "survivor", &mut roles);
        let content = "from side 0";
        let sent = word_of(side.send(&text(content), NOW), |()| last_sent(segment, content));
        roles.push(("survivor", sent));
        drop(other);
        let is_connected =
            word_of(side.is_connected(), |is| if is { "connected" } else { "alone" }.to_owned());
        roles.push(("survivor", is_connected));
        receive_all(side, "survivor", &mut roles);
    });
    beside(image, |side, _, _other| {
        // The answer is there before the request, as nobody else does anything here.
        roles.push(("asker", word_of(side.request(&text("question"), NOW, describe), |answer| answer)));
        roles.push(("asker", format!("late {}", side.late_answers().unwrap())));
        receive_all(side, "asker", &mut roles);
    });
    roles
}

//! Queues and arrays in memory of zeros: of another program, or of a process that died before it attached.

use std::sync::Barrier;
use std::thread;

use crate::common::layouts::{NO_WAIT, WAIT, bytes_of, fresh, open, open_part, planted, rounds};
use shm_segment::Segment;
use shm_segment::layout::Error;
use shm_segment::layout::array::Array;
use shm_segment::layout::queue::{Queue, Version};

const VERSIONS: [(&str, Version, u64); 2] = [("v1", Version::V1, 20), ("v2", Version::V2, 28)];
const SIZE: u64 = 4096;

const CAPACITY_AT: u64 = 8;
const MAX_MESSAGE_AT: u64 = 16;

/// Attaches in the format of that name. Returns the size of the longest message, or the number of elements.
fn attach(segment: &Segment, format: &str, size: u64) -> Result<u64, Error> {
    let version = match format {
        "array" => return Array::attach(segment, size)?.count(segment),
        "v1" => Version::V1,
        _ => Version::V2,
    };
    Queue::attach(segment, version, size)?.max_message_size(segment).map(u64::from)
}

/// Not a test: what a `Peer` runs. `race` attaches at the moment at which the other word changes.
#[test]
fn peer() {
    if std::env::var_os("SHM_SEGMENT_PEER").is_none() {
        return;
    }
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let [command, name, format, size] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (segment, size) = (open(name), size.parse().unwrap());
        match command {
            "race" => {
                let start = open(&format!("{name}-start"));
                println!("answer: ready");
                while start.load_u32(0).unwrap() == 0 {
                    std::hint::spin_loop();
                }
                match attach(&segment, format, size) {
                    Ok(found) => println!("answer: {found}"),
                    Err(Error::LaidOutSmaller { found, .. }) => println!("answer: smaller {found}"),
                    Err(other) => println!("answer: {other}"),
                }
            }
            // Until it is killed.
            "lay_out" => {
                println!("answer: ready");
                loop {
                    attach(&segment, format, size).unwrap();
                    segment.fill(0, segment.size(), 0).unwrap();
                }
            }
            other => panic!("unknown command {other}"),
        }
    }
}

#[test]
fn any_process_lays_out_zeros() {
    for format in ["v1", "v2", "array"] {
        let (_ours, theirs) = planted(&[0; SIZE as usize]);
        let found = attach(&theirs, format, 100).unwrap();
        assert_eq!(found, if format == "array" { (SIZE - 16) / 100 } else { 100 }, "{format}");
    }
}

#[test]
fn without_a_size_no_process_lays_out_a_queue() {
    for (label, version, _) in VERSIONS {
        let (ours, theirs) = planted(&[0; SIZE as usize]);
        let result = Queue::attach(&theirs, version, 0);
        assert!(matches!(result, Err(Error::NotLaidOutYet { .. })), "{label}: {result:?}");
        // There is no size that it could mean.
        let result = Queue::attach(&ours, version, 0);
        assert!(matches!(result, Err(Error::InvalidElementSize { .. })), "{label}: {result:?}");
        assert!(bytes_of(&ours)[..SIZE as usize] == [0; SIZE as usize]);
    }
}

#[test]
fn other_bytes_than_zeros_are_not_laid_out_by_an_opener() {
    for at in [28, 4095, 4096, 8191] {
        let mut bytes = vec![0; 8192];
        bytes[at] = 1;
        let (ours, theirs) = planted(&bytes);
        for format in ["v1", "v2", "array"] {
            let error = attach(&theirs, format, 100).unwrap_err();
            assert!(
                matches!(error, Error::NotZeros { offset, .. } if offset == at as u64),
                "{format}: {error}"
            );
        }
        assert!(bytes_of(&ours)[..8192] == bytes);
        // The creator knows that they are its own.
        attach(&ours, "v2", 100).unwrap();
    }
}

/// Stores what a process leaves that is killed between the two stores of a header.
#[test]
fn a_half_made_header_is_completed() {
    for (label, version, header) in VERSIONS {
        let (ours, theirs) = planted(&[0; SIZE as usize]);
        ours.store_u32(MAX_MESSAGE_AT, 50).unwrap();
        let result = Queue::attach(&theirs, version, 0);
        assert!(matches!(result, Err(Error::NotLaidOutYet { .. })), "{label}: {result:?}");
        let result = Queue::attach(&theirs, version, 51);
        assert!(matches!(result, Err(Error::LaidOutSmaller { found: 50, .. })), "{label}: {result:?}");
        let queue = Queue::attach(&theirs, version, 0).unwrap();
        assert_eq!(u64::from(queue.capacity(&theirs).unwrap()), (SIZE - header) / 54, "{label}");

        // libsharedmemory stores the capacity first. Its longest message isn't known.
        let (ours, theirs) = planted(&[0; SIZE as usize]);
        ours.store_u32(CAPACITY_AT, 50).unwrap();
        let result = Queue::attach(&theirs, version, 50);
        assert!(matches!(result, Err(Error::NotLaidOutYet { .. })), "{label}: {result:?}");
        // No process waits for a capacity that no queue can have.
        ours.store_u32(CAPACITY_AT, 1 << 30).unwrap();
        for size in [0, 50] {
            let result = Queue::attach(&theirs, version, size);
            assert!(matches!(result, Err(Error::Invalid { .. })), "{label}: {result:?}");
        }

        // More than fits, and other bytes behind it.
        for (longest, behind, is_number) in [(1 << 20, 0, true), (50, 7, false)] {
            let (ours, theirs) = planted(&[0; SIZE as usize]);
            ours.store_u32(MAX_MESSAGE_AT, longest).unwrap();
            ours.store_u32(1000, behind).unwrap();
            let result = Queue::attach(&theirs, version, 50);
            assert_eq!(matches!(result, Err(Error::Invalid { .. })), is_number, "{label}: {result:?}");
            assert_eq!(matches!(result, Err(Error::NotZeros { .. })), !is_number, "{label}: {result:?}");
        }
    }

    let (ours, theirs) = planted(&[0; SIZE as usize]);
    ours.store_u32(8, 3).unwrap();
    assert_eq!(Array::attach(&theirs, 4).unwrap().count(&theirs).unwrap(), 3);
    for (count, behind) in [(1 << 20, 0), (3, 7)] {
        let (ours, theirs) = planted(&[0; SIZE as usize]);
        ours.store_u32(8, count).unwrap();
        ours.store_u32(1000, behind).unwrap();
        let result = Array::attach(&theirs, 4);
        assert!(matches!(result, Err(Error::Invalid { .. } | Error::NotZeros { .. })), "{result:?}");
    }
}

/// Each thread has opened the memory with another size. The header of one fits into all.
#[test]
fn an_opener_of_a_part_lays_out_its_part() {
    let (name, ours) = fresh(SIZE);
    let part = open_part(&name, 1000);
    Queue::attach(&part, Version::V2, 96).unwrap();
    let queue = Queue::attach(&ours, Version::V2, 96).unwrap();
    assert_eq!(queue.capacity(&ours).unwrap(), (1000 - 28) / 100);
}

/// Attaches a queue concurrently with threads that use it. None finds it empty twice, or finds other bytes.
#[test]
fn a_queue_in_use_is_never_laid_out_again() {
    for round in 0..rounds(200) {
        let (name, ours) = fresh(SIZE);
        let both = Barrier::new(4);
        thread::scope(|scope| {
            for number in 0..4u8 {
                let (name, both) = (&name, &both);
                scope.spawn(move || {
                    let segment = open_part(name, SIZE);
                    both.wait();
                    let queue = Queue::attach(&segment, Version::V2, 100).unwrap();
                    queue.enqueue(&segment, &[number], WAIT).unwrap();
                });
            }
        });
        let queue = Queue::attach(&ours, Version::V2, 0).unwrap();
        let mut bytes = Vec::new();
        let mut all: Vec<u8> = (0..4)
            .map(|_| {
                queue.dequeue_into(&ours, &mut bytes, NO_WAIT).unwrap();
                bytes[0]
            })
            .collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3], "round {round}");
    }
}

#[cfg(target_os = "linux")]
mod partners {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::common::layouts::Random;
    use crate::common::{Name, Peer};
    use shm_segment::{Access, Options};

    #[test]
    fn a_persistent_segment_of_a_creator_that_died_before_it_attached_is_usable() {
        for format in ["v1", "v2", "array"] {
            let name = Name::new();
            let mut creator = Peer::start("peer");
            assert_eq!(creator.ask(&format!("persist {}", &*name)), "created");
            let theirs = Options::new(&name).open(SIZE, Access::ReadWrite).unwrap();
            creator.kill();
            let found = attach(&theirs, format, 100).unwrap();
            assert_eq!(found, if format == "array" { (SIZE - 16) / 100 } else { 100 }, "{format}");
        }
    }

    /// Processes race for memory that Python has made. Each has another wish, and one of them counts.
    #[test]
    fn of_racing_processes_exactly_one_lays_out_zeros_of_python() {
        for processes in [2, 8] {
            let mut peers: Vec<Peer> = (0..processes).map(|_| Peer::start("zeros::peer")).collect();
            for format in ["v1", "v2", "array"] {
                for round in 0..rounds(20) {
                    let name = Name::new();
                    let mut python = crate::common::layouts::python();
                    assert_eq!(python.ask(&format!("create {} {SIZE}", &*name)), "done");
                    let start = Options::new(&format!("{}-start", &*name)).create(4).unwrap();
                    let wishes: Vec<u64> = (0..processes).map(|number| 10 + 7 * number).collect();
                    for (peer, wish) in peers.iter_mut().zip(&wishes) {
                        assert_eq!(peer.ask(&format!("race {} {format} {wish}", &*name)), "ready");
                    }
                    start.store_u32(0, 1).unwrap();
                    let answers: Vec<String> = peers.iter_mut().map(Peer::answer).collect();
                    let context = format!("{processes}, {format}, round {round}: {answers:?}");
                    assert_outcome(&open(&name), format, &wishes, &answers, &context);
                }
            }
        }
    }

    fn assert_outcome(segment: &Segment, format: &str, wishes: &[u64], answers: &[String], context: &str) {
        let header = match format {
            "array" => {
                let count = Array::attach(segment, 1).unwrap().count(segment).unwrap();
                assert!(wishes.iter().any(|wish| (SIZE - 16) / wish == count), "{context}");
                for (wish, answer) in wishes.iter().zip(answers) {
                    let fits = 16 + count * wish <= SIZE;
                    assert_eq!(*answer == count.to_string(), fits, "{context}");
                    assert!(fits || answer.contains("the number of elements"), "{context}");
                }
                return;
            }
            "v1" => 20,
            _ => 28,
        };
        let longest = u64::from(segment.load_u32(MAX_MESSAGE_AT).unwrap());
        assert!(wishes.contains(&longest), "{context}");
        assert_eq!(
            u64::from(segment.load_u32(CAPACITY_AT).unwrap()),
            (SIZE - header) / (4 + longest),
            "{context}"
        );
        for (wish, answer) in wishes.iter().zip(answers) {
            let expected = if *wish <= longest { longest.to_string() } else { format!("smaller {longest}") };
            assert_eq!(*answer, expected, "{context}");
        }
    }

    /// Whenever the winner is killed, those that come later get the memory at once.
    #[test]
    fn a_process_killed_while_it_lays_out_keeps_nobody_waiting() {
        let mut random = Random::new();
        for format in ["v1", "v2", "array"] {
            let mut half_made = 0;
            let rounds = rounds(40);
            for round in 0..rounds {
                let name = Name::new();
                let mut python = crate::common::layouts::python();
                assert_eq!(python.ask(&format!("create {} {SIZE}", &*name)), "done");
                let mut victim = Peer::start("zeros::peer");
                assert_eq!(victim.ask(&format!("lay_out {} {format} 100", &*name)), "ready");
                thread::sleep(Duration::from_micros(random.below(2000)));
                victim.kill();
                let segment = open(&name);
                let [claim, end] = if format == "array" { [8, 0] } else { [MAX_MESSAGE_AT, CAPACITY_AT] };
                half_made +=
                    u64::from(segment.load_u32(claim).unwrap() != 0 && segment.load_u32(end).unwrap() == 0);
                let start = Instant::now();
                let found = attach(&segment, format, 100);
                let expected = if format == "array" { (SIZE - 16) / 100 } else { 100 };
                assert_eq!(found.unwrap(), expected, "{format}, round {round}");
                assert!(start.elapsed() < Duration::from_secs(5), "{format}, round {round}");
            }
            println!("{format}: {half_made} of {rounds} left half a header");
        }
    }
}

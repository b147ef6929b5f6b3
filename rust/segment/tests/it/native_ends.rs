//! Every call of the native layouts ends within its time, whether its partner is dead, is stopped, or stores
//! anything into the words.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::random::{Random, rounds};
use crate::common::{Name, SetAtEnd};
use crate::native_killed::{Side, Victim, dequeue};
use shm_segment::layout::native::{Descriptor, Kind, Message, Queue, Stream};
use shm_segment::layout::{Error, Result};
use shm_segment::{Access, Options, OwnerState, Segment, Waited};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);
/// Machines under load are late by less than this.
const LATE: Duration = Duration::from_secs(1);

/// A call that waits for a partner.
struct Wait {
    /// The operation that the partner repeats.
    partner: &'static str,
    call: fn(&Side, Duration) -> Result<()>,
    /// The same without a wait: succeeds until there is something to wait for.
    attempt: fn(&Side) -> Result<()>,
    has_partner: fn(&Side) -> bool,
}

const WAITS: &[Wait] = &[
    Wait {
        partner: "stream_write",
        call: |it, timeout| match it.stream().wait(&it.segment, timeout, || true)? {
            Waited::TimedOut => Err(Error::WaitTimedOut { what: "anything", waited: timeout }),
            _ => it.stream().read(&it.segment, |_| Ok(())),
        },
        attempt: |it| {
            let is_new = it.stream().has_new_data(&it.segment)?;
            if is_new { it.stream().read(&it.segment, |_| Ok(())) } else { Err(Error::Empty) }
        },
        has_partner: |it| it.stream().writer_state(&it.segment).unwrap() == OwnerState::Alive,
    },
    Wait {
        partner: "queue_enqueue",
        call: |it, timeout| dequeue(it.queue(), &it.segment, timeout).map(|_| ()),
        attempt: |it| dequeue(it.queue(), &it.segment, NOW).map(|_| ()),
        has_partner: |it| it.queue().has_producer(&it.segment).unwrap(),
    },
    Wait {
        partner: "queue_dequeue_and_wait",
        call: enqueue,
        attempt: |it| enqueue(it, NOW),
        has_partner: |it| it.queue().has_consumer(&it.segment).unwrap(),
    },
];

fn enqueue(it: &Side, timeout: Duration) -> Result<()> {
    // As the partner's own messages are.
    let content = 24_u64.to_le_bytes().repeat(25);
    let message = Message { descriptor: Descriptor::of(Kind::Bytes), content: &content };
    it.queue().enqueue(&it.segment, &message, timeout, || true)
}

impl Wait {
    /// Starts a partner, stops it while it has its role, and calls `meet` when there is something to wait
    /// for.
    fn with_stopped_partner<T>(&self, meet: impl FnOnce(&Side, &Victim) -> T) -> T {
        let name = Name::new();
        let ours = Side::new(Options::new(&name).create(1 << 16).unwrap(), self.partner);
        let victim = Victim::start(self.partner, &name);
        let end = Instant::now() + LONG;
        while !(self.has_partner)(&ours) {
            assert!(Instant::now() < end, "the partner takes no role");
            thread::sleep(Duration::from_millis(1));
        }
        victim.stop();
        while (self.attempt)(&ours).is_ok() {}
        meet(&ours, &victim)
    }

    /// Waits until the partner's end, which another thread causes after `delay`. Returns the time from the
    /// kill to the error.
    fn time_to_error(&self, delay: Duration) -> Duration {
        self.with_stopped_partner(|ours, victim| {
            thread::scope(|scope| {
                let killer = scope.spawn(|| {
                    thread::sleep(delay);
                    victim.kill();
                    Instant::now()
                });
                let result = (self.call)(ours, LONG);
                let end = Instant::now();
                assert!(matches!(result, Err(Error::PartnerGone { .. })), "{}: {result:?}", self.partner);
                end.saturating_duration_since(killer.join().unwrap())
            })
        })
    }
}

#[test]
fn a_wait_ends_soon_after_its_partner_was_killed() {
    let mut random = Random::new();
    for wait in WAITS {
        for _ in 0..rounds(8) {
            let took = wait.time_to_error(Duration::from_micros(random.below(60_000)));
            assert!(took < LATE, "{}: the error came after {took:?}", wait.partner);
        }
    }
}

/// Prints the time from a kill to the error of a sleeping call. Run by hand, as the times depend on the load.
#[test]
#[ignore = "a measurement"]
fn time_from_kill_to_error() {
    let mut random = Random::new();
    for wait in WAITS {
        // Longer than it takes until the slices are the longest ones.
        let mut times: Vec<_> = (0..rounds(200))
            .map(|_| wait.time_to_error(Duration::from_micros(100_000 + random.below(50_000))))
            .collect();
        times.sort_unstable();
        let of = |hundredth: usize| times[(times.len() * hundredth / 100).min(times.len() - 1)];
        println!(
            "{}: median {:.1?}, 99 % {:.1?}, longest {:.1?}, {} kills",
            wait.partner,
            of(50),
            of(99),
            of(100),
            times.len()
        );
    }
}

#[test]
fn each_thread_learns_that_the_partner_was_killed() {
    for wait in WAITS {
        wait.with_stopped_partner(|ours, victim| {
            thread::scope(|scope| {
                let waits: Vec<_> = (0..2).map(|_| scope.spawn(|| (wait.call)(ours, LONG))).collect();
                thread::sleep(Duration::from_millis(100));
                let start = Instant::now();
                victim.kill();
                for thread in waits {
                    let result = thread.join().unwrap();
                    assert!(matches!(result, Err(Error::PartnerGone { .. })), "{}: {result:?}", wait.partner);
                }
                assert!(start.elapsed() < LATE, "{}", wait.partner);
            });
        });
    }
}

#[test]
fn a_stopped_partner_is_not_dead_and_a_wait_for_it_ends_in_its_time() {
    let timeout = Duration::from_millis(150);
    for wait in WAITS {
        wait.with_stopped_partner(|ours, victim| {
            let start = Instant::now();
            let result = (wait.call)(ours, timeout);
            assert!(matches!(result, Err(Error::WaitTimedOut { .. })), "{}: {result:?}", wait.partner);
            assert!(start.elapsed() >= timeout && start.elapsed() < timeout + LATE);
            victim.signal(libc::SIGCONT);
            (wait.call)(ours, LONG).unwrap();
        });
    }
}

#[test]
fn a_wait_without_a_partner_ends_in_its_time() {
    let timeout = Duration::from_millis(150);
    for wait in WAITS {
        wait.with_stopped_partner(|ours, victim| {
            victim.kill();
            victim.wait_until_zombie();
            // The first one may say that the partner has ended.
            let _ = (wait.call)(ours, timeout);
            let start = Instant::now();
            let result = (wait.call)(ours, timeout);
            assert!(matches!(result, Err(Error::WaitTimedOut { .. })), "{}: {result:?}", wait.partner);
            assert!(start.elapsed() >= timeout && start.elapsed() < timeout + LATE);
        });
    }
}

/// The words of both layouts. Those of the other one are bytes of content there.
const WORDS: &[u64] = &[
    0, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x80, 0x84, 0x100, 0x108, 0x110, 0x118, 0x120, 0x128, 0x180,
    0x188, 0x18C, 0x190, 0x198, 0x1A0, 0x1A8, 0x200, 0x208, 0x210, 0x218, 0x220, 0x228,
];

/// Stores anything into the words until it is told to stop.
fn disturb(segment: &Segment, is_over: &AtomicBool, mut random: Random) {
    let values = [
        0,
        1,
        2,
        3,
        7,
        8,
        u64::from(u32::MAX),
        1 << 31,
        1 << 32,
        1 << 55,
        1 << 62,
        1 << 63,
        u64::MAX << 8,
        u64::MAX - 7,
        u64::MAX,
    ];
    while !is_over.load(Ordering::Relaxed) {
        let word = WORDS[random.below(WORDS.len() as u64) as usize];
        let value = match random.below(4) {
            0 => values[random.below(values.len() as u64) as usize],
            1 => segment.load_u32(word).unwrap().wrapping_add(1).into(),
            2 => u64::from(segment.load_u32(word).unwrap()).wrapping_sub(8),
            _ => random.below(u64::MAX),
        };
        if word.is_multiple_of(8) && random.below(2) == 0 {
            segment.store_u64(word, value).unwrap();
        } else {
            segment.store_u32(word, value as u32).unwrap();
        }
        match random.below(100) {
            // The next process lays the memory out again.
            0 => segment.fill(0, segment.size(), 0).unwrap(),
            1 => thread::sleep(Duration::from_millis(2)),
            // A storm of wakes.
            2..30 => segment.notify_u32(0x84).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn each_call_ends_in_its_time_while_the_words_change() {
    let timeout = Duration::from_millis(20);
    let mut random = Random::new();
    let (name, is_over) = (Name::new(), AtomicBool::new(false));
    let ours = Options::new(&name).create(4096).unwrap();
    let open = || Options::new(&name).open(0, Access::ReadWrite).unwrap();
    let (hostile, theirs, reader) = (open(), open(), open());
    let hostile_random = Random::with_seed(random.below(u64::MAX));
    thread::scope(|scope| {
        let guard = SetAtEnd(&is_over);
        scope.spawn(|| disturb(&hostile, &is_over, hostile_random));
        let end = Instant::now() + Duration::from_secs(rounds(4).min(60));
        let (mut calls, mut successes) = (0, 0);
        let mut timed = |what: &str, limit: Duration, call: &mut dyn FnMut() -> bool| {
            let start = Instant::now();
            successes += u64::from(call());
            calls += 1;
            assert!(start.elapsed() < limit + LATE, "{what} took {:?}", start.elapsed());
        };
        let content = [5; 40];
        let message = Message { descriptor: Descriptor::of(Kind::Bytes), content: &content };
        while Instant::now() < end {
            if let (Ok(a), Ok(b)) = (Stream::attach(&theirs, 256, 1), Stream::attach(&reader, 256, 1)) {
                for _ in 0..5 {
                    timed("write", NOW, &mut || a.write(&theirs, &message).is_ok());
                    timed("read", NOW, &mut || b.read(&reader, |message| message.to_vec()).is_ok());
                    timed("newest", NOW, &mut || b.newest(&reader).is_ok());
                    timed("wait", timeout, &mut || b.wait(&reader, timeout, || true).is_ok());
                }
                timed("reset", NOW, &mut || a.reset(&theirs).is_ok());
                a.release(&theirs);
                b.release(&reader);
            }
            if let (Ok(a), Ok(b)) = (Queue::attach(&theirs, 256, 1), Queue::attach(&reader, 256, 1)) {
                for _ in 0..5 {
                    timed("enqueue", timeout, &mut || a.enqueue(&theirs, &message, timeout, || true).is_ok());
                    timed("peek", NOW, &mut || b.peek(&reader, |message| message.to_vec()).is_ok());
                    timed("filled", NOW, &mut || b.filled(&reader).is_ok());
                    let mut dequeue =
                        || b.dequeue(&reader, timeout, || true, |message| message.to_vec()).is_ok();
                    timed("dequeue", timeout, &mut dequeue);
                    timed("clear", NOW, &mut || b.clear(&reader).is_ok());
                }
                timed("reset", NOW, &mut || a.reset(&theirs).is_ok());
                a.release(&theirs);
                b.release(&reader);
            }
        }
        drop(guard);
        println!("{calls} calls, {successes} succeeded");
        assert!(successes > 0, "nothing was ever laid out");
    });
    drop(ours);
}

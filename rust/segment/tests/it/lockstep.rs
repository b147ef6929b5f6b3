//! Two sides of a pair in lockstep on Linux: the processor time and the wall time of a side that waits.

use std::thread;
use std::time::{Duration, Instant};

use shm_segment::Scope;
use shm_segment::layout::Error;
use shm_segment::layout::native::{Descriptor, Kind, Message, Peer};

use crate::common::Name;

const SOON: Duration = Duration::from_secs(10);

fn bytes(content: &[u8]) -> Message<'_> {
    Message { descriptor: Descriptor::of(Kind::Bytes), content }
}

fn request(side: &Peer, timeout: Duration) -> Result<Vec<u8>, Error> {
    side.request(&bytes(&[7; 64]), timeout, |message| message.to_vec())
}

fn receive(side: &Peer) -> Vec<u8> {
    side.receive::<_, Error>(SOON, |message| message.to_vec()).unwrap()
}

/// Returns two sides that are connected.
fn connected(name: &str) -> (Peer, Peer) {
    let open = || Peer::open(name, 4096, Scope::Local).unwrap();
    let sides = (open(), open());
    let start = Instant::now();
    while [&sides.0, &sides.1].map(|side| side.is_connected().unwrap()) != [true; 2] {
        assert!(start.elapsed() < SOON, "the sides don't find each other");
        thread::sleep(Duration::from_millis(1));
    }
    sides
}

/// Returns the processor time of this thread.
fn processor_time() -> Duration {
    // SAFETY: all bytes may be zero in this structure of numbers, which the call fills.
    let used = unsafe {
        let mut used = std::mem::zeroed::<libc::rusage>();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut used), 0);
        used
    };
    [used.ru_utime, used.ru_stime]
        .map(|time| {
            Duration::from_secs(time.tv_sec.cast_unsigned())
                + Duration::from_micros(time.tv_usec.cast_unsigned())
        })
        .iter()
        .sum()
}

#[test]
fn a_side_uses_less_than_a_fiftieth_of_a_core_while_its_partner_thinks() {
    const STEPS: u32 = 75;
    const THINKING: Duration = Duration::from_millis(20);
    if std::env::var_os("SHM_SEGMENT_SANITIZED").is_some() {
        println!("skipped: a sanitizer takes processor time of its own");
        return;
    }
    let name = Name::new();
    let (trainer, game) = connected(&name);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..STEPS {
                let question = receive(&game);
                thread::sleep(THINKING);
                game.send(&bytes(&question), SOON).unwrap();
            }
        });
        let (used, start) = (processor_time(), Instant::now());
        for _ in 0..STEPS {
            assert_eq!(request(&trainer, SOON).unwrap(), [7; 64]);
        }
        let (used, took) = (processor_time() - used, start.elapsed());
        println!("{used:?} of processor time in {took:?}");
        assert!(used < took / 50, "{used:?} in {took:?}");
    });
}

#[test]
fn the_time_of_a_request_includes_its_wait_for_room() {
    const TIMEOUT: Duration = Duration::from_millis(1500);
    let name = Name::new();
    let (trainer, game) = connected(&name);
    while trainer.send(&bytes(&[1; 500]), Duration::ZERO).is_ok() {}
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(TIMEOUT * 9 / 10);
            receive(&game);
        });
        assert!(matches!(request(&trainer, TIMEOUT), Err(Error::WaitTimedOut { what: "answer", .. })));
    });
    let took = start.elapsed();
    // A second timeout for the answer would end at 1.9 times the first one.
    assert!(TIMEOUT <= took && took < TIMEOUT * 7 / 4, "{took:?}");
}

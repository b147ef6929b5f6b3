//! Single steps: a child process runs one operation of a native layout, and after each of its instructions
//! the memory is copied. On the copy, every other role goes on, and so does a process that takes over the
//! role. Nothing is torn, lost or doubled beyond what `docs/FORMAT.md` allows after a death.
//!
//! Writers, producers and consumers with a fault, which are written here, show that the checks find it.

mod between;
mod letters;
mod locks;
mod pairs;
mod queues;
mod stepper;
mod streams;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use self::stepper::{is_possible, is_thorough};
use crate::common::in_another_process;

/// Calls `body` in a process of its own, where no other thread holds a lock when a child is forked.
fn in_single_steps(test: &str, body: impl FnOnce()) {
    in_another_process(test, || {
        use_one_processor();
        // The names in a backtrace take a child millions of instructions.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
        if is_possible() {
            body();
        } else {
            println!("skipped: this system doesn't allow ptrace(2)");
        }
    });
}

/// Keeps this process and its children on one processor, where a child's step takes half the time.
fn use_one_processor() {
    // SAFETY: zeros are an empty set. The calls take a number, and a set that lives until they return.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap_or(0), &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Runs all cases, and prints how many instructions there were.
fn run_all<C: std::fmt::Debug>(cases: &[C], run: impl Fn(&C) -> (u64, u64)) {
    let (start, mut steps, mut states) = (Instant::now(), 0, 0);
    for case in cases {
        let result = catch_unwind(AssertUnwindSafe(|| run(case)));
        let Ok(found) = result else { panic!("failed: {case:?}") };
        (steps, states) = (steps + found.0, states + found.1);
    }
    let seconds = start.elapsed().as_secs_f32();
    println!("{} operations, {steps} instructions, {states} states, in {seconds:.1} s", cases.len());
}

fn stream_cases() -> Vec<streams::Case> {
    use streams::Operation as Op;
    let write =
        streams::Case { operation: Op::Write, readers: 2, limit: 100, before: 5, length: 41, busy: 0 };
    let mut cases = Vec::new();
    let (lengths, counts) = if is_thorough() {
        ((0..=600).step_by(7).collect(), (0..=9).collect())
    } else {
        (vec![0, 600], vec![0, 1, 5])
    };
    for operation in [Op::Write, Op::TakeOverAndWrite] {
        for (&length, &before) in lengths.iter().flat_map(|a| counts.iter().map(move |b| (a, b))) {
            // A writer without a message before has no role yet.
            if operation == Op::TakeOverAndWrite || before > 0 {
                cases.push(streams::Case { operation, length, before, limit: 600, ..write });
            }
        }
        for (readers, busy) in [(0, 0), (1, 1), (2, 1), (2, 2), (3, 3), (20, 0)] {
            cases.push(streams::Case { operation, readers, busy, ..write });
        }
    }
    let others = [Op::Read, Op::ReadAgain, Op::ReadWithoutPin, Op::Wait, Op::Reset, Op::Release];
    for operation in others {
        for &before in counts.iter().filter(|before| **before > 0) {
            cases.push(streams::Case { operation, before, ..write });
        }
    }
    // With many readers, the lines are longer than the C library sets to zero in one piece.
    let readers: &[usize] = if is_thorough() { &[0, 2, 20, 64] } else { &[0, 20] };
    for &readers in readers {
        cases.push(streams::Case { operation: Op::Reset, readers, ..write });
        cases.push(streams::Case { operation: Op::LayOut, readers, before: 0, ..write });
    }
    cases
}

#[test]
fn streams_go_on_after_each_instruction() {
    in_single_steps("single_steps::streams_go_on_after_each_instruction", || {
        run_all(&stream_cases(), streams::Case::run);
    });
}

fn queue_cases() -> Vec<queues::Case> {
    use queues::Operation as Op;
    let enqueue = queues::Case {
        operation: Op::Enqueue,
        ring: 128,
        position: 128,
        taken: 10,
        waiting: &[],
        length: 17,
    };
    let mut cases = Vec::new();
    let (lengths, step): (Vec<usize>, _) =
        if is_thorough() { ((0..=40).collect(), 8) } else { (vec![0, 40], 56) };
    for operation in [Op::Enqueue, Op::TakeOverAndEnqueue, Op::Dequeue, Op::TakeOverAndDequeue] {
        for position in (128..256).step_by(step) {
            for &length in &lengths {
                for taken in [10, 11] {
                    let waiting: &[usize] = match operation {
                        Op::Dequeue | Op::TakeOverAndDequeue => &[17, 3],
                        _ if taken == 10 => &[],
                        _ => &[0],
                    };
                    cases.push(queues::Case { operation, position, length, taken, waiting, ..enqueue });
                }
            }
        }
    }
    for operation in [Op::Clear, Op::Peek, Op::Reset, Op::Release, Op::TakeOverAndDequeue] {
        for waiting in [&[40, 2][..], &[0, 0, 0, 40], &[5]] {
            for position in [128, 216] {
                cases.push(queues::Case { operation, waiting, position, ..enqueue });
            }
        }
    }
    cases.push(queues::Case { operation: Op::DequeueAndWait, ..enqueue });
    cases.push(queues::Case { operation: Op::EnqueueAndWait, waiting: &[40, 40], length: 40, ..enqueue });
    cases.push(queues::Case { operation: Op::LayOut, ..enqueue });
    cases
}

#[test]
fn queues_go_on_after_each_instruction() {
    in_single_steps("single_steps::queues_go_on_after_each_instruction", || {
        run_all(&queue_cases(), queues::Case::run);
    });
}

/// The checks must fail for each fault, and for no correct program.
#[test]
fn single_steps_find_each_fault() {
    in_single_steps("single_steps::single_steps_find_each_fault", || {
        let write = |fault, busy| streams::Case {
            operation: streams::Operation::Written(fault),
            readers: 3,
            limit: 100,
            before: 7,
            length: 41,
            busy,
        };
        for busy in 0..3 {
            write(streams::Fault::None, busy).run();
        }
        for fault in streams::Fault::ALL {
            let found = catch_unwind(AssertUnwindSafe(|| write(fault, 2).run()));
            assert!(found.is_err(), "a writer with the fault {fault:?} was not found");
        }
        let queue = |operation, position| queues::Case {
            operation,
            ring: 128,
            position,
            taken: 10,
            waiting: &[33],
            length: 17,
        };
        // At the second position, the message that is put in needs padding.
        for position in [128, 168] {
            queue(queues::Operation::Put(queues::Fault::None), position).run();
            queue(queues::Operation::Taken(queues::Fault::None), position).run();
        }
        for fault in queues::Fault::OF_PRODUCER {
            let mut case = queue(queues::Operation::Put(fault), 168);
            if fault == queues::Fault::IgnoresTheHead {
                (case.position, case.waiting) = (128, &[33, 40]);
            }
            // The messages before are as they should be.
            queues::Case { operation: queues::Operation::Peek, ..case }.run();
            let found = catch_unwind(AssertUnwindSafe(|| case.run()));
            assert!(found.is_err(), "a producer with the fault {fault:?} was not found");
        }
        for fault in queues::Fault::OF_CONSUMER {
            let case = queue(queues::Operation::Taken(fault), 128);
            let found = catch_unwind(AssertUnwindSafe(|| case.run()));
            assert!(found.is_err(), "a consumer with the fault {fault:?} was not found");
        }
    });
}

#[test]
fn a_partner_may_act_between_any_two_instructions() {
    in_single_steps("single_steps::a_partner_may_act_between_any_two_instructions", || {
        between::messages_are_written_during_a_read();
        between::messages_are_read_during_a_write();
        between::both_ends_of_a_queue_move();
        between::messages_go_by_during_a_look();
    });
}

#[test]
fn no_wake_is_lost_at_any_instruction() {
    in_single_steps("single_steps::no_wake_is_lost_at_any_instruction", between::no_wake_is_lost);
}

#[test]
fn pairs_go_on_after_each_instruction() {
    in_single_steps("single_steps::pairs_go_on_after_each_instruction", || {
        run_all(&pairs::Operation::ALL, pairs::run);
    });
}

#[test]
fn single_steps_find_each_fault_of_a_side() {
    in_single_steps("single_steps::single_steps_find_each_fault_of_a_side", || {
        for operation in pairs::Operation::BY_HAND {
            pairs::run(&operation(pairs::Fault::None));
            let faults = pairs::Fault::ALL.into_iter().map(operation);
            for faulty in faults.filter(|faulty| faulty.can_have()) {
                let found = catch_unwind(AssertUnwindSafe(|| pairs::run(&faulty)));
                assert!(found.is_err(), "a side with the fault {faulty:?} was not found");
            }
        }
    });
}

#[test]
fn locks_go_on_after_each_instruction() {
    in_single_steps("single_steps::locks_go_on_after_each_instruction", || {
        let steps = locks::run_beside_another(locks::Program::Ours);
        let alone = locks::run_alone();
        println!("{steps} instructions beside another process, {alone} alone");
        locks::kills(steps, false);
        locks::kills(alone, true);
    });
}

#[test]
fn single_steps_find_each_fault_of_a_lock() {
    in_single_steps("single_steps::single_steps_find_each_fault_of_a_lock", || {
        locks::run_beside_another(locks::Program::ByFormat);
        for fault in locks::Program::FAULTS {
            let found = catch_unwind(AssertUnwindSafe(|| locks::run_beside_another(fault)));
            assert!(found.is_err(), "a program with the fault {fault:?} was not found");
        }
    });
}

//! Checks of a history against the promises of `docs/FORMAT.md`.

use std::collections::{BTreeMap, HashMap};

use super::log::{Event, Id, What};

/// The number of messages in a history.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Summary {
    pub(super) sent: usize,
    /// Their processes were killed before they knew.
    pub(super) perhaps: usize,
    pub(super) received: usize,
    /// Received again after the death of a consumer.
    pub(super) again: usize,
}

/// The end of an operation that sends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Sent {
        time: u64,
        sequence: u64,
    },
    Refused,
    /// The process was killed.
    Perhaps,
}

/// An operation that sends.
#[derive(Debug, Clone, Copy)]
struct Send {
    begun: u64,
    outcome: Outcome,
}

type Sends = HashMap<Id, Send>;

/// Returns the events of each process, in their order.
fn by_process(events: &[Event]) -> BTreeMap<usize, Vec<Event>> {
    let mut processes = BTreeMap::<_, Vec<Event>>::new();
    for event in events {
        processes.entry(event.process).or_default().push(*event);
    }
    processes
}

/// Returns all operations that send, and for each sender the messages in their order.
fn sends(events: &[Event]) -> Result<(Sends, BTreeMap<u64, Vec<Id>>), String> {
    let (mut sends, mut senders) = (Sends::new(), BTreeMap::<u64, Vec<Id>>::new());
    for (process, events) in by_process(events) {
        for (index, event) in events.iter().enumerate() {
            let What::Sends(id) = event.what else { continue };
            let outcome = match events.get(index + 1) {
                None => Outcome::Perhaps,
                Some(next) => match next.what {
                    What::Sent(sent, sequence) if sent == id => Outcome::Sent { time: next.time, sequence },
                    What::Refused(refused) if refused == id => Outcome::Refused,
                    _ => return Err(format!("process {process} goes on in the middle of sending {id:?}")),
                },
            };
            if sends.insert(id, Send { begun: event.time, outcome }).is_some() {
                return Err(format!("{id:?} was sent twice"));
            }
            senders.entry(id.0).or_default().push(id);
        }
    }
    Ok((sends, senders))
}

fn summary(sends: &Sends) -> Summary {
    let count = |is: fn(&Outcome) -> bool| sends.values().filter(|send| is(&send.outcome)).count();
    Summary {
        sent: count(|outcome| matches!(outcome, Outcome::Sent { .. })),
        perhaps: count(|outcome| *outcome == Outcome::Perhaps),
        ..Summary::default()
    }
}

/// Checks the history of a queue, which is empty at the end: each message was received once and in the order
/// of its sender. Dead processes are the exception: the last message of a producer may be missing. The next
/// consumer may receive the last message of a dead one again.
pub(super) fn queue(events: &[Event]) -> Result<Summary, String> {
    let (sends, senders) = sends(events)?;
    let mut summary = summary(&sends);
    // The order of different consumers is that of time, since each holds the role while it copies.
    let mut received = BTreeMap::<u64, Vec<(u64, Id, bool)>>::new();
    for (process, events) in by_process(events) {
        for (index, event) in events.iter().enumerate() {
            match event.what {
                What::Torn => return Err(format!("process {process} has got a torn message")),
                What::Got(id) => {
                    let is_passed = match events.get(index + 1).map(|next| next.what) {
                        Some(What::Passed(passed)) if passed == id => true,
                        None => false,
                        _ => return Err(format!("process {process} goes on in the middle of {id:?}")),
                    };
                    received.entry(id.0).or_default().push((event.time, id, is_passed));
                }
                _ => {}
            }
        }
    }
    for (sender, received) in &mut received {
        received.sort_unstable();
        summary.received += received.len();
        if !senders.contains_key(sender) {
            return Err(format!("sender {sender} has never sent anything"));
        }
    }
    for (sender, ids) in &senders {
        let mut expected = ids.iter().filter(|id| sends[id].outcome != Outcome::Refused).peekable();
        let mut last: Option<(Id, bool)> = None;
        for (_, id, is_passed) in received.get(sender).into_iter().flatten() {
            match last {
                Some((before, false)) if before == *id => summary.again += 1,
                _ if expected.next_if_eq(&id).is_some() => {}
                _ => {
                    return Err(format!("{id:?} came instead of {:?}, after {last:?}", expected.peek()));
                }
            }
            last = Some((*id, *is_passed));
        }
        if let Some(lost) = expected.find(|id| sends[id].outcome != Outcome::Perhaps) {
            return Err(format!("{lost:?} is lost"));
        }
    }
    Ok(summary)
}

/// A read of the newest message; sequence 0: there was none.
#[derive(Debug, Clone, Copy)]
struct Read {
    begun: u64,
    ended: u64,
    sequence: u64,
}

/// Checks the history of a stream: a read returns the message that was the newest one at a moment of the
/// read. It never returns an older one than a read before.
pub(super) fn stream(events: &[Event]) -> Result<Summary, String> {
    let (sends, senders) = sends(events)?;
    let mut summary = summary(&sends);
    let mut ids = HashMap::<u64, Id>::new();
    let mut is_of = |sequence: u64, id: Id| match *ids.entry(sequence).or_insert(id) {
        other if other == id => Ok(()),
        other => Err(format!("message {sequence} is {id:?} and {other:?}")),
    };
    for (id, send) in &sends {
        if let Outcome::Sent { sequence, .. } = send.outcome {
            is_of(sequence, *id)?;
        }
    }
    let mut reads = Vec::new();
    for (process, events) in by_process(events) {
        let mut last = 0;
        for pair in events.windows(2) {
            let (begun, ended) = (pair[0].time, pair[1].time);
            let sequence = match pair[1].what {
                What::Torn => return Err(format!("process {process} has read a torn message")),
                What::Read(id, sequence) => {
                    let send = sends.get(&id).ok_or_else(|| format!("{id:?} was never sent"))?;
                    is_of(sequence, id)?;
                    if send.outcome == Outcome::Refused || send.begun > ended {
                        return Err(format!("{id:?} was read before it was sent"));
                    }
                    summary.received += 1;
                    sequence
                }
                What::FoundNothing => 0,
                _ => continue,
            };
            if pair[0].what != What::Reads {
                return Err(format!("process {process} has read without a beginning"));
            }
            if sequence < last {
                return Err(format!("process {process} has read {sequence} after {last}"));
            }
            last = sequence;
            reads.push(Read { begun, ended, sequence });
        }
    }
    // The sequence numbers that were the newest at some time: those sent, and those read.
    let sent = sends.values().filter_map(|send| match send.outcome {
        Outcome::Sent { time, sequence } => Some((time, sequence)),
        _ => None,
    });
    let mut known: Vec<(u64, u64)> =
        sent.chain(reads.iter().map(|read| (read.ended, read.sequence))).collect();
    known.sort_unstable();
    reads.sort_unstable_by_key(|read| read.begun);
    let (mut known, mut newest) = (known.into_iter().peekable(), 0);
    for read in &reads {
        while let Some((_, sequence)) = known.next_if(|(time, _)| *time < read.begun) {
            newest = newest.max(sequence);
        }
        if read.sequence < newest {
            return Err(format!("{} was read at {}, after {newest}", read.sequence, read.begun));
        }
    }
    for (sender, ids) in &senders {
        let sequences = ids.iter().filter_map(|id| match sends[id].outcome {
            Outcome::Sent { sequence, .. } => Some(sequence),
            _ => None,
        });
        if !sequences.is_sorted_by(|before, after| before < after) {
            return Err(format!("the messages of sender {sender} are in another order"));
        }
    }
    let (first, last) = (ids.keys().min(), ids.keys().max());
    let numbers = first.zip(last).map_or(0, |(first, last)| last - first + 1);
    if numbers > (summary.sent + summary.perhaps) as u64 {
        return Err(format!("{numbers} numbers are those of {} messages", summary.sent + summary.perhaps));
    }
    Ok(summary)
}

/// The checks themselves: each history here has one fault.
mod tests {
    use super::*;

    const A: Id = (1, 1);
    const B: Id = (1, 2);
    const SENDER: usize = 0;

    /// Returns a history in which the events happen one after the other.
    fn history(events: &[(usize, What)]) -> Vec<Event> {
        let events = events.iter().zip(1..);
        events.map(|(&(process, what), time)| Event { time, process, what }).collect()
    }

    fn sent(id: Id, sequence: u64) -> [(usize, What); 2] {
        [(SENDER, What::Sends(id)), (SENDER, What::Sent(id, sequence))]
    }

    fn taken(process: usize, id: Id) -> [(usize, What); 2] {
        [(process, What::Got(id)), (process, What::Passed(id))]
    }

    fn read(process: usize, id: Id, sequence: u64) -> [(usize, What); 2] {
        [(process, What::Reads), (process, What::Read(id, sequence))]
    }

    #[test]
    fn good_histories_of_a_queue_are_accepted() {
        let both = [sent(A, 0), sent(B, 0)].concat();
        let killed = [&both[..1], &taken(1, A)].concat();
        let nothing = both[..1].to_vec();
        let again = [&both[..], &taken(1, A)[..1], &taken(2, A), &taken(2, B)].concat();
        let refused = [(SENDER, What::Sends(A)), (SENDER, What::Refused(A))].to_vec();
        for good in [[both, taken(1, A).into(), taken(2, B).into()].concat(), killed, nothing, again, refused]
        {
            queue(&history(&good)).unwrap();
        }
    }

    #[test]
    fn bad_histories_of_a_queue_are_found() {
        let both = [sent(A, 0), sent(B, 0)].concat();
        let lost = [&both[..], &taken(1, B)].concat();
        let lost_at_the_end = [&both[..], &taken(1, A)].concat();
        let swapped = [&both[..], &taken(1, B), &taken(1, A)].concat();
        let doubled = [&both[..], &taken(1, A), &taken(2, A), &taken(2, B)].concat();
        let late = [&both[..], &taken(1, A)[..1], &taken(2, A), &taken(2, B), &taken(3, A)].concat();
        let invented = [&both[..], &taken(1, A), &taken(1, B), &taken(1, (2, 1))].concat();
        let refused = [&[(SENDER, What::Sends(A)), (SENDER, What::Refused(A))][..], &taken(1, A)].concat();
        let torn = [&both[..], &taken(1, A), &taken(1, B), &[(1, What::Torn)]].concat();
        let kept = [&both[..], &taken(1, A)[..1], &taken(1, B)].concat();
        for bad in [lost, lost_at_the_end, swapped, doubled, late, invented, refused, torn, kept] {
            assert!(queue(&history(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn good_histories_of_a_stream_are_accepted() {
        let both = [sent(A, 5), sent(B, 6)].concat();
        let killed = [&sent(A, 5)[..], &[(SENDER, What::Sends(B))], &read(1, B, 6), &read(2, B, 6)].concat();
        let unseen = [&sent(A, 5)[..], &[(SENDER, What::Sends(B))], &read(1, A, 5)].concat();
        let early = [&[(1, What::Reads), (1, What::FoundNothing)][..], &both, &read(1, B, 6)].concat();
        // A read that has begun before the second message.
        let long = [&sent(A, 5)[..], &[(1, What::Reads)], &sent(B, 6), &read(1, A, 5)[1..]].concat();
        for good in [[both, read(1, B, 6).into(), read(1, B, 6).into()].concat(), killed, unseen, early, long]
        {
            stream(&history(&good)).unwrap();
        }
    }

    #[test]
    fn bad_histories_of_a_stream_are_found() {
        let both = [sent(A, 5), sent(B, 6)].concat();
        let old = [&both[..], &read(1, A, 5)].concat();
        let back = [&sent(A, 5)[..], &[(SENDER, What::Sends(B))], &read(1, B, 6), &read(1, A, 5)].concat();
        let back_for_another =
            [&sent(A, 5)[..], &[(SENDER, What::Sends(B))], &read(1, B, 6), &read(2, A, 5)].concat();
        let mixed = [&both[..], &read(1, A, 6)].concat();
        let invented = [&both[..], &read(1, (2, 1), 7)].concat();
        let early = [&read(1, A, 5)[..], &both].concat();
        let missing = [&both[..], &[(1, What::Reads), (1, What::FoundNothing)]].concat();
        let torn = [&both[..], &[(1, What::Reads), (1, What::Torn)]].concat();
        let swapped = [sent(A, 6), sent(B, 5)].concat();
        let skipped = [sent(A, 5), sent(B, 7)].concat();
        let refused = [&[(SENDER, What::Sends(A)), (SENDER, What::Refused(A))][..], &read(1, A, 5)].concat();
        let all =
            [old, back, back_for_another, mixed, invented, early, missing, torn, swapped, skipped, refused];
        for bad in all {
            assert!(stream(&history(&bad)).is_err(), "{bad:?}");
        }
    }
}

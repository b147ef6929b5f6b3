//! Checks of a history of pairs against the promises of `docs/FORMAT.md`.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::Kill;
use super::{Event, Message, What};

/// The numbers of events in a history.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Summary {
    pub(super) sessions: usize,
    pub(super) sent: usize,
    pub(super) received: usize,
    pub(super) answered: usize,
    /// The ends of partners that were told.
    pub(super) ends: usize,
    /// The attempts of a third side.
    pub(super) shut: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Sent,
    Refused,
    /// The process was killed, or a request had no answer.
    Perhaps,
}

#[derive(Debug, Clone, Copy)]
struct Send {
    begun: u64,
    outcome: Outcome,
    is_answer: bool,
}

/// The time from one opening of the name to its end.
#[derive(Default)]
struct Session {
    events: Vec<Event>,
    opens: u64,
    /// The times before and after its end; 0: it never had a side.
    end: (u64, u64),
    is_polling: bool,
    sends: BTreeMap<u64, Send>,
}

/// A partner's messages, as a session has received them.
struct Received {
    from: u64,
    first: u64,
    last: u64,
    /// The session was told of the partner's end after all of its messages.
    is_over: bool,
}

type Sessions = BTreeMap<u64, Session>;

impl Session {
    fn find(&mut self, id: u64, is_last: bool, kills: &[Kill]) -> Result<(), String> {
        self.opens = self.events[0].time;
        let kill = kills.iter().find(|kill| is_last && kill.process as u64 == id >> 32);
        let time_of = |what| self.events.iter().find(|event| event.what == what).map(|event| event.time);
        let killed = kill.map_or((0, 0), |kill| (kill.before, kill.after));
        let closed = (time_of(What::Closes), time_of(What::Closed));
        self.end = match closed {
            (Some(begun), Some(ended)) => (begun, ended),
            (Some(begun), None) => (begun, killed.1),
            (None, _) if time_of(What::Shut).is_some() => (0, 0),
            (None, _) => killed,
        };
        for (index, event) in self.events.iter().enumerate() {
            match event.what {
                What::Opened { is_polling } => self.is_polling = is_polling,
                What::Torn => return Err(format!("session {id:x} has got a torn message")),
                What::Wrong => return Err(format!("session {id:x} has got a wrong answer")),
                What::Sends(number, is_answer) => {
                    let outcome = match self.events.get(index + 1).map(|next| next.what) {
                        None | Some(What::Unanswered(_)) => Outcome::Perhaps,
                        Some(What::Sent(_) | What::Answered(..)) => Outcome::Sent,
                        Some(What::Refused(_)) => Outcome::Refused,
                        Some(_) => return Err(format!("session {id:x} goes on in the middle of sending")),
                    };
                    self.sends.insert(number, Send { begun: event.time, outcome, is_answer });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns what it has received, in the order of its partners. Each partner begins and ends once.
    fn received(&self, id: u64) -> Result<Vec<Received>, String> {
        let mut all = Vec::<Received>::new();
        let (mut is_connected, mut has_border) = (false, false);
        for event in &self.events {
            match event.what {
                What::Connected if self.is_polling => {
                    if is_connected {
                        return Err(format!("session {id:x} was connected twice"));
                    }
                    is_connected = true;
                }
                What::Gone(is_exact) => {
                    if self.is_polling && !is_connected {
                        return Err(format!("session {id:x} was told of an end twice"));
                    }
                    (is_connected, has_border) = (false, true);
                    if let Some(last) = all.last_mut().filter(|_| is_exact) {
                        last.is_over = true;
                    }
                }
                What::Got(message) => {
                    if self.is_polling && !is_connected {
                        return Err(format!("session {id:x} has got {message:?} without a partner"));
                    }
                    let Message { from, number, .. } = message;
                    match all.last_mut() {
                        Some(last) if last.from == from => {
                            if number <= last.last || last.is_over {
                                return Err(format!("session {id:x} has got {message:?} too late"));
                            }
                            last.last = number;
                        }
                        last => {
                            if last.is_some() && !has_border {
                                return Err(format!("session {id:x} has got {message:?} without a border"));
                            }
                            if let Some(last) = last {
                                last.is_over = true;
                            }
                            if all.iter().any(|other| other.from == from) {
                                return Err(format!("session {id:x} has got {message:?} of a past partner"));
                            }
                            all.push(Received { from, first: number, last: number, is_over: false });
                            has_border = false;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Returns when it surely had its first partner, if it was not told of an end before.
    fn first_connected(&self) -> Option<u64> {
        let is_known = |what| {
            matches!(
                what,
                What::Sent(_) | What::Connected | What::Got(_) | What::Answered(..) | What::Gone(_)
            )
        };
        let first = self.events.iter().find(|event| is_known(event.what))?;
        (!matches!(first.what, What::Gone(_))).then_some(first.time)
    }
}

/// Checks a history.
pub(super) fn history(events: Vec<Event>, kills: &[Kill]) -> Result<Summary, String> {
    let mut sessions = Sessions::new();
    for event in events {
        sessions.entry(event.session).or_default().events.push(event);
    }
    let ids: Vec<u64> = sessions.keys().copied().collect();
    for (index, id) in ids.iter().enumerate() {
        let is_last = ids.get(index + 1).is_none_or(|next| next >> 32 != id >> 32);
        sessions.get_mut(id).unwrap().find(*id, is_last, kills)?;
    }
    let mut summary = Summary { sessions: sessions.len(), ..Summary::default() };
    summary.sent = sessions
        .values()
        .flat_map(|session| session.sends.values())
        .filter(|send| send.outcome == Outcome::Sent)
        .count();
    let owners = messages(&sessions, &mut summary)?;
    for (id, session) in &sessions {
        partners(&sessions, &owners, *id, session)?;
        ends(&sessions, *id, session, &mut summary)?;
    }
    Ok(summary)
}

/// Checks that each message was sent, and was received once at most. Each partner of a sender has got
/// messages behind those of the partner before. Returns the receiver of each message.
fn messages(sessions: &Sessions, summary: &mut Summary) -> Result<HashMap<(u64, u64), u64>, String> {
    let mut owners = HashMap::new();
    // The first and the last message for each partner, and the time of the first.
    let mut ranges = BTreeMap::<u64, BTreeMap<u64, (u64, u64, u64)>>::new();
    for (id, session) in sessions {
        let mut asked = HashSet::new();
        for event in &session.events {
            let (message, is_answer) = match event.what {
                What::Got(message) => (message, false),
                What::Answered(_, message) => (message, true),
                What::Sends(number, _) => {
                    asked.insert(number);
                    continue;
                }
                _ => continue,
            };
            summary.received += 1;
            summary.answered += usize::from(is_answer);
            if is_answer && !asked.contains(&message.answers) {
                return Err(format!("session {id:x} has got {message:?}, the answer to nothing"));
            }
            let sender = sessions.get(&message.from);
            let send = sender.and_then(|sender| sender.sends.get(&message.number));
            match send {
                Some(send)
                    if send.outcome != Outcome::Refused
                        && send.begun <= event.time
                        && send.is_answer == (message.answers != 0) => {}
                _ => return Err(format!("session {id:x} has got {message:?}, which was not sent: {send:?}")),
            }
            if owners.insert((message.from, message.number), *id).is_some() {
                return Err(format!("{message:?} was received twice"));
            }
            let number = message.number;
            let range =
                ranges.entry(message.from).or_default().entry(*id).or_insert((number, number, event.time));
            *range = (range.0.min(number), range.1.max(number), range.2.min(event.time));
        }
    }
    for (from, ranges) in &ranges {
        let mut ranges: Vec<_> = ranges.values().collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|two| two[0].1 >= two[1].0 || two[0].2 >= two[1].2) {
            return Err(format!("two partners of session {from:x} have got its messages in turns"));
        }
    }
    Ok(owners)
}

/// Checks that a session lacks none of a partner's messages.
fn partners(
    sessions: &Sessions,
    owners: &HashMap<(u64, u64), u64>,
    id: u64,
    session: &Session,
) -> Result<(), String> {
    for (index, received) in session.received(id)?.iter().enumerate() {
        let sends = &sessions[&received.from].sends;
        let end = if received.is_over { u64::MAX } else { received.last };
        let connected = session.first_connected().filter(|_| index == 0);
        for (number, send) in sends.range(..=end) {
            let is_for_this = *number >= received.first || connected.is_some_and(|time| send.begun > time);
            let is_lost = owners.get(&(received.from, *number)) != Some(&id);
            // An answer that comes late is dropped.
            if is_for_this && is_lost && send.outcome == Outcome::Sent && !send.is_answer {
                return Err(format!("session {id:x} has not got {number} of {:x}: {send:?}", received.from));
            }
        }
    }
    Ok(())
}

/// Checks that each end that was told is that of another session, and that a third side was refused rightly.
fn ends(sessions: &Sessions, id: u64, session: &Session, summary: &mut Summary) -> Result<(), String> {
    let others = || sessions.iter().filter(|(other, it)| **other != id && it.end.0 != 0).map(|(_, it)| it);
    let mut ended: Vec<u64> =
        others().filter(|other| other.end.1 >= session.opens).map(|other| other.end.0).collect();
    ended.sort_unstable();
    let mut ended = ended.into_iter();
    // After a request that tells of an end, messages of that partner may come. Then the same end may be told
    // again, to the receiver or to another request.
    let mut may_come_again = None;
    for event in &session.events {
        match event.what {
            What::Got(_) => may_come_again = may_come_again.map(|_| true),
            What::Gone(is_exact) if may_come_again == Some(true) => {
                may_come_again = (!is_exact).then_some(false);
            }
            What::Gone(is_exact) => {
                may_come_again = (!is_exact).then_some(false);
                summary.ends += 1;
                if ended.next().is_none_or(|time| time > event.time) {
                    return Err(format!("session {id:x} was told of an end, but nobody has ended"));
                }
            }
            What::Shut => {
                summary.shut += 1;
                let is_there = |other: &&Session| other.opens < event.time && other.end.1 > session.opens;
                if others().filter(is_there).count() < 2 {
                    return Err(format!("session {id:x} was refused, although there was a side"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The checks themselves: each bad history here has one fault.
mod tests {
    use super::*;

    const A: u64 = 1 << 32;
    const B: u64 = 2 << 32;
    const C: u64 = 3 << 32;

    fn message(from: u64, number: u64) -> Message {
        Message { from, number, answers: 0, is_request: false }
    }

    fn got(session: u64, from: u64, number: u64) -> Vec<(u64, What)> {
        vec![(session, What::Got(message(from, number)))]
    }

    fn sent(session: u64, number: u64) -> Vec<(u64, What)> {
        vec![(session, What::Sends(number, false)), (session, What::Sent(number))]
    }

    fn opened(session: u64) -> Vec<(u64, What)> {
        vec![(session, What::Opens), (session, What::Opened { is_polling: false })]
    }

    fn closed(session: u64) -> Vec<(u64, What)> {
        vec![(session, What::Closes), (session, What::Closed)]
    }

    fn gone(session: u64) -> Vec<(u64, What)> {
        vec![(session, What::Gone(true))]
    }

    /// Checks a history in which the events happen one after the other. All are killed at its end.
    fn check(parts: &[Vec<(u64, What)>]) -> Result<Summary, String> {
        let events = parts.concat().into_iter().zip(1..);
        let events: Vec<Event> =
            events.map(|((session, what), time)| Event { time, session, what }).collect();
        let end = events.len() as u64 + 1;
        let kills = [1, 2, 3].map(|process| Kill { process, before: end, after: end + 1 });
        history(events, &kills)
    }

    #[test]
    fn good_histories_of_a_pair_are_accepted() {
        let both = [opened(A), opened(B), sent(A, 1), sent(A, 2)];
        let killed = [&both[..], &[got(B, A, 1)]].concat();
        let ended = [&both[..], &[closed(A), got(B, A, 1), got(B, A, 2), gone(B)]].concat();
        let next = [&ended[..], &[opened(C), sent(C, 1), got(B, C, 1)]].concat();
        let third = [&both[..], &[vec![(C, What::Opens), (C, What::Shut)]]].concat();
        // The messages to the one before are lost.
        let passed = [&both[..], &[closed(B), opened(C), sent(A, 3), got(C, A, 3), gone(A)]].concat();
        for good in [both.to_vec(), killed, ended, next, third, passed] {
            check(&good).unwrap();
        }
    }

    #[test]
    fn bad_histories_of_a_pair_are_found() {
        let both = [opened(A), opened(B), sent(A, 1), sent(A, 2)];
        let with = |more: &[Vec<(u64, What)>]| [&both[..], more].concat();
        let lost = with(&[sent(A, 3), got(B, A, 1), got(B, A, 3)]);
        let lost_at_the_end = with(&[got(B, A, 1), closed(A), gone(B)]);
        let lost_at_the_beginning = with(&[vec![(B, What::Connected)], sent(A, 3), sent(A, 4), got(B, A, 4)]);
        let swapped = with(&[got(B, A, 2), got(B, A, 1)]);
        let doubled = with(&[got(B, A, 1), got(B, A, 1)]);
        let doubled_for_the_next = with(&[got(B, A, 1), closed(B), opened(C), got(C, A, 1)]);
        let in_turns = with(&[got(B, A, 2), opened(C), got(C, A, 1)]);
        let of_another = with(&[got(B, A, 1), got(B, A, 2), closed(A), opened(C), sent(C, 1), got(B, C, 1)]);
        let stopped = with(&[got(B, A, 1), got(B, A, 2), gone(B)]);
        let told_twice = with(&[got(B, A, 1), got(B, A, 2), closed(A), gone(B), gone(B)]);
        let after_the_end = with(&[got(B, A, 1), closed(A), gone(B), got(B, A, 2)]);
        let invented = with(&[got(B, A, 3)]);
        let torn = with(&[vec![(B, What::Torn)]]);
        let wrong = with(&[vec![(B, What::Wrong)]]);
        let refused = with(&[closed(A), vec![(C, What::Opens), (C, What::Shut)]]);
        for (number, bad) in [
            lost,
            lost_at_the_end,
            lost_at_the_beginning,
            swapped,
            doubled,
            doubled_for_the_next,
            in_turns,
            of_another,
            stopped,
            told_twice,
            after_the_end,
            invented,
            torn,
            wrong,
            refused,
        ]
        .iter()
        .enumerate()
        {
            assert!(check(bad).is_err(), "history {number} is accepted: {bad:?}");
        }
    }
}

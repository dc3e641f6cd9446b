//! The desk of a run: questions on their way to the metric source, and what it answers.

use jiff::Timestamp;

use super::{Happening, Run};
use crate::analysis::{Answer, Part, Question, Scope, Token};
use crate::sim::source::Source;
use crate::state::Stage;

impl Run {
    pub(super) fn send(&mut self, question: Question) {
        // As the shell's desk: not while it is under way, nor while an answer to it is waiting to be counted. An answer
        // that was dropped without being counted is asked for again.
        let waiting = self.process.answers.iter().any(|it| it.token == question.token && it.at >= question.due);
        if waiting || !self.asked.insert(question.token.clone()) {
            return;
        }
        let latency = self.disturbances.lag(3_000);
        let at = self
            .world
            .true_time(question.due)
            .max(self.world.now)
            .checked_add(jiff::SignedDuration::try_from(latency).unwrap())
            .unwrap();
        self.counter += 1;
        let epoch = self.epoch;
        self.queue.insert((at, self.counter), Happening::Answer(Box::new(question), epoch));
    }

    pub(super) fn answer(&mut self, question: &Question) {
        let Token { metric, .. } = &question.token;
        let of_stable = matches!(metric.scope, Scope::Preflight | Scope::Comparison);
        let odd = self.odd.as_ref().filter(|(name, _)| *name == metric.name).map(|(_, source)| *source);
        let source = if of_stable && !self.stable_fails {
            Source::Good
        } else if !of_stable && self.faults.spilling && self.is_canary_dead() {
            // Nothing reaches it, and so nothing is counted of it.
            Source::Empty
        } else {
            odd.unwrap_or(self.source)
        };
        let of_both = if self.stable_fails { source } else { Source::Good };
        let outcome = source.says(question.reads, of_both);
        // Strictly later than the last one, whatever the clock does, as the shell's desk has it.
        let last = self.process.answers.last().map_or(Timestamp::MIN, |last| last.at);
        let at = self.world.clock_now().max(last.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap());
        let part = |query: &String| Part { query: query.clone(), outcome: outcome.clone() };
        let answer = Answer {
            token: question.token.clone(),
            at,
            reads: question.reads,
            parts: question.queries.iter().map(part).collect(),
        };
        self.note(|| format!("answer to {}: {source:?}", question.token.metric.name));
        self.process.answers.push(answer);
    }

    fn is_canary_dead(&self) -> bool {
        let stage = self.world.status.as_ref().map(|state| &state.stage);
        matches!(stage, Some(Stage::Releasing(release)) if self.world.ready_of(&release.canary.hash) == 0)
    }
}

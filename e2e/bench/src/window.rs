//! What a controller used in a stretch of time: processor, memory, requests.

use std::time::Instant;

use anyhow::Result;
use leadsman_e2e::audit::AuditLog;
use leadsman_e2e::process::{forget_peak, processor_time, resident, waited_for_processor};

use crate::contender;
use crate::requests::Requests;

/// A stretch of time that has begun.
pub struct Window {
    pid: u32,
    began: Instant,
    processor: f64,
    waited: f64,
    log: AuditLog,
}

/// What was used in it.
#[derive(Clone, Debug)]
pub struct Used {
    /// Of the processor's time, seconds.
    pub processor: f64,
    /// Seconds that its threads waited for a processor that others had.
    pub waited: f64,
    /// MiB, at its end.
    pub resident: f64,
    /// MiB, the most in it.
    pub peak: f64,
    pub requests: Requests,
}

impl Window {
    /// Begins now, for the controller's process.
    pub fn begin(pid: u32, log: AuditLog) -> Result<Self> {
        forget_peak(pid)?;
        let (processor, waited) = times(pid)?;
        Ok(Self { pid, began: Instant::now(), processor, waited, log })
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// What was used until now. The window goes on.
    pub fn used(&self) -> Result<Used> {
        let (processor, waited) = times(self.pid)?;
        let (resident, peak) = resident(self.pid)?;
        let all = self.log.requests(&contender::user())?;
        Ok(Used {
            processor: processor - self.processor,
            waited: waited - self.waited,
            resident: mebibytes(resident),
            peak: mebibytes(peak),
            requests: Requests::of(&all, &contender::user()),
        })
    }
}

fn times(pid: u32) -> Result<(f64, f64)> {
    Ok((processor_time(pid)?.as_secs_f64(), waited_for_processor(pid)?.as_secs_f64()))
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

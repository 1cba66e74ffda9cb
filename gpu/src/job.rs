//! Run a job where that is best, and go on where it can be when a device fails.

use crate::{Backend, DeviceKind, GpuError, LoadedModel, OnDevice};
use neura_int8::{Course, Int8Result, ModelError, OpenJob};
use neura_native::Native;

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The result: the same bits wherever it was computed.
    pub result: Int8Result,
    /// Why not all of it was computed as planned, if so: the first reason.
    pub fell_back: Option<GpuError>,
}

/// Runs jobs on a device.
///
/// The model is loaded once, and its values stay on the device. A request that does not fit the
/// device is computed operator by operator, the products of it there. When the device is lost, does
/// not finish in time or has no memory left, the processor computes the rest. Both are said in
/// [`Ran::fell_back`] and in the log. A software adapter is this machine's processor, which the
/// native kernels use better: nothing is sent to one.
#[derive(Debug, Clone, Copy)]
pub struct JobRunner<'a> {
    backend: &'a dyn Backend,
    loads: bool,
}

/// Where requests are answered.
#[derive(Debug)]
enum Way<'a> {
    Loaded(LoadedModel<'a>),
    ByOperator,
    Native,
}

impl<'a> JobRunner<'a> {
    /// Sends what is worth it.
    #[must_use]
    pub fn new(backend: &'a dyn Backend) -> Self {
        JobRunner { backend, loads: backend.info().kind != DeviceKind::Cpu }
    }

    /// Sends everything, to a software adapter too, as tests want it.
    #[must_use]
    pub fn everything(backend: &'a dyn Backend) -> Self {
        JobRunner { backend, loads: true }
    }

    /// Answers every request of a job.
    ///
    /// # Errors
    /// See [`JobRunner::start`] and [`RunningJob::step`].
    pub fn run(&self, job: &'a OpenJob) -> Result<Ran, GpuError> {
        let mut running = self.start(job)?;
        let mut course = Course::new(job);
        while running.step(&mut course, u64::MAX)? {}
        Ok(Ran { result: course.finish()?, fell_back: running.fell_back })
    }

    /// Loads a job's model.
    ///
    /// # Errors
    /// [`GpuError::OverBudget`] if the model's parameters are more than a request may use of the
    /// device. [`GpuError::Refused`] if the device computes wrongly. Other failures of the device
    /// are none: see [`RunningJob::fell_back`].
    pub fn start(&self, job: &'a OpenJob) -> Result<RunningJob<'a>, GpuError> {
        let mut running =
            RunningJob { backend: self.backend, way: Way::ByOperator, fell_back: None };
        if !self.loads {
            return Ok(running);
        }
        match self.backend.load(&job.model) {
            Ok(Some(loaded)) => running.way = Way::Loaded(loaded),
            Ok(None) => {}
            Err(error @ GpuError::OverBudget { .. }) => return Err(error),
            Err(error) => running.turn(error)?,
        }
        Ok(running)
    }
}

/// A job whose model is where it will be run.
#[derive(Debug)]
pub struct RunningJob<'a> {
    backend: &'a dyn Backend,
    way: Way<'a>,
    fell_back: Option<GpuError>,
}

impl<'a> RunningJob<'a> {
    /// Why not all is computed as planned, if so: the first reason.
    #[must_use]
    pub fn fell_back(&self) -> Option<&GpuError> {
        self.fell_back.as_ref()
    }

    /// Does the next step of a job; false if there is none. A loaded model makes a token, or answers
    /// another request, in one step; otherwise see [`Course::step`].
    ///
    /// # Errors
    /// [`GpuError::Model`] if the job is not valid. Other failures of the device are none: see
    /// [`RunningJob::fell_back`].
    pub fn step(&mut self, course: &mut Course<'a>, macs: u64) -> Result<bool, GpuError> {
        if let Way::Loaded(loaded) = &self.way
            && let Some(stepped) = on_loaded(loaded, course)
        {
            match stepped {
                Ok(()) => return Ok(true),
                Err(error) => self.turn(error)?,
            }
        }
        if !matches!(self.way, Way::Native) {
            let kernels = OnDevice::new(self.backend);
            let stepped = course.step(&kernels, macs);
            match kernels.outcome(stepped) {
                Ok(more) => return Ok(more),
                Err(error) if matches!(remedy(&error), Some(Remedy::Leave)) => self.turn(error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(course.step(&Native::best(), macs)?)
    }

    /// Goes on another way after a failure that is not the job's own, and says why. What is too
    /// large for the device leaves the model loaded, for requests that are not.
    fn turn(&mut self, error: GpuError) -> Result<(), GpuError> {
        match remedy(&error) {
            Some(Remedy::Split) => {}
            Some(Remedy::Leave) => self.way = Way::Native,
            None => return Err(error),
        }
        tracing::warn!(%error, "not computed on the device as planned");
        self.fell_back.get_or_insert(error);
        Ok(())
    }
}

/// Does the next step with a loaded model; none if that is not for it.
fn on_loaded(loaded: &LoadedModel<'_>, course: &mut Course<'_>) -> Option<Result<(), GpuError>> {
    if let Some((prompt, made)) = course.generating() {
        let token = loaded.next_token(prompt, made);
        return Some(token.and_then(|token| {
            let impossible = |error: ModelError| GpuError::Driver { reason: error.to_string() };
            course.take_token(token).map_err(impossible)
        }));
    }
    let request = course.untouched()?;
    Some(loaded.answer(request).map(|answer| course.take(answer)))
}

/// What helps after a failure that is not the job's own.
enum Remedy {
    /// To send it in smaller pieces.
    Split,
    /// To do without the device.
    Leave,
}

fn remedy(error: &GpuError) -> Option<Remedy> {
    match error {
        GpuError::NoKernel { .. } | GpuError::TooLarge { .. } | GpuError::OverBudget { .. } => {
            Some(Remedy::Split)
        }
        GpuError::OutOfMemory { .. }
        | GpuError::Timeout { .. }
        | GpuError::Lost { .. }
        | GpuError::Driver { .. } => Some(Remedy::Leave),
        _ => None,
    }
}

//! Run a job where that is best, and go on where it can be when a device fails.

use crate::{Backend, DeviceKind, GpuError, LoadedModel, OnDevice};
use neura_int8::{Int8Result, OpenJob, Request, Tensor};
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
    /// [`GpuError::OverBudget`] if the model's parameters are more than a request may use of the
    /// device: nothing has been done then. [`GpuError::Refused`] if the device computes wrongly,
    /// [`GpuError::Model`] if the job is not valid. Other failures of the device are none: see
    /// [`Ran::fell_back`].
    pub fn run(&self, job: &'a OpenJob) -> Result<Ran, GpuError> {
        let mut fell_back = None;
        let mut way = self.load(job, &mut fell_back)?;
        let mut answers = Vec::with_capacity(job.requests.len());
        for request in &job.requests {
            answers.push(self.answer(&mut way, (job, request), &mut fell_back)?);
        }
        Ok(Ran { result: Int8Result::new(answers)?, fell_back })
    }

    fn load(&self, job: &'a OpenJob, said: &mut Option<GpuError>) -> Result<Way<'a>, GpuError> {
        if !self.loads {
            return Ok(Way::ByOperator);
        }
        match self.backend.load(&job.model) {
            Ok(Some(loaded)) => Ok(Way::Loaded(loaded)),
            Ok(None) => Ok(Way::ByOperator),
            Err(error @ GpuError::OverBudget { .. }) => Err(error),
            Err(error) => match remedy(&error) {
                Some(Remedy::Split) => Ok(say(error, Way::ByOperator, said)),
                Some(Remedy::Leave) => Ok(say(error, Way::Native, said)),
                None => Err(error),
            },
        }
    }

    fn answer(
        &self,
        way: &mut Way<'a>,
        (job, request): (&OpenJob, &Request),
        said: &mut Option<GpuError>,
    ) -> Result<Vec<Tensor>, GpuError> {
        if let Way::Loaded(loaded) = way {
            match loaded.answer(request) {
                Ok(answer) => return Ok(answer),
                Err(error) => match remedy(&error) {
                    Some(Remedy::Split) => say(error, (), said),
                    Some(Remedy::Leave) => *way = say(error, Way::Native, said),
                    None => return Err(error),
                },
            }
        }
        if !matches!(way, Way::Native) {
            let kernels = OnDevice::new(self.backend);
            let found = request.answer(&job.model, &kernels);
            match kernels.outcome(found) {
                Ok(answer) => return Ok(answer),
                Err(error) => match remedy(&error) {
                    Some(Remedy::Leave) => *way = say(error, Way::Native, said),
                    _ => return Err(error),
                },
            }
        }
        Ok(request.answer(&job.model, &Native::best())?)
    }
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

/// Goes on as `way` says, and says why.
fn say<T>(error: GpuError, way: T, said: &mut Option<GpuError>) -> T {
    tracing::warn!(%error, "not computed on the device as planned");
    said.get_or_insert(error);
    way
}

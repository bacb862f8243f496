//! Runs of fixed shapes that are recorded once and repeated: on CUDA as CUDA graphs, which the
//! device works off without the host launching its kernels one by one.
//!
//! ONNX Runtime records the second or third run under a new `gpu_graph_id` (its
//! `CUDAExecutionProvider::OnRunStart`) and repeats it from then on, without a look at the inputs: so
//! every tensor that such a run touches keeps its address. What a recorded run computes on the way
//! stands in memory that the session's arena has back and gives away again, and each repetition
//! writes there: no tensor that is to last may be made between a recording and a repetition. The tensors
//! of all runs are therefore made first ([`Recorded::new`]); a run is recorded later, when it is first
//! wanted, for a recording makes none that lasts. On the CPU the same tensors are used and
//! each run is an ordinary one.

use std::ffi::c_void;

use ort::AsPointer;
use ort::memory::Allocator;
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session};
use ort::value::{DynTensor, TensorElementType};

use super::cuda::Cuda;
use super::run::{Kept, owned};
use super::{Data, RunError, View};

/// Run option that names the CUDA graph of a run.
const GRAPH: &str = "gpu_graph_id";
/// Its value for a run that is neither recorded nor repeated.
const NONE: &str = "-1";

/// Marks a run as one that is not recorded; without it ONNX Runtime records every run of a session
/// with CUDA graphs.
pub(super) fn ordinary<S: ort::session::SelectedOutputMarker>(
    options: &mut RunOptions<S>,
) -> ort::Result<()> {
    options.set(GRAPH, NONE)
}

/// A recorded run.
pub(super) struct Recorded {
    binding: IoBinding,
    options: RunOptions<NoSelectedOutputs>,
    inputs: Vec<Fixed>,
    outputs: Vec<Fixed>,
    /// It has run, and is recorded.
    ran: bool,
}

/// A tensor that keeps its place.
pub(super) struct Fixed {
    pub name: String,
    pub tensor: DynTensor,
    shape: Vec<i64>,
    element: TensorElementType,
    bytes: usize,
}

/// What a run is recorded from; see [`super::Graph::record`].
pub(super) struct Plan<'a> {
    /// Number of the CUDA graph: one that the session has not had.
    pub graph: usize,
    pub inputs: &'a [(&'a str, View<'a>)],
    pub host: &'a [&'a str],
    pub outputs: &'a [(&'a str, View<'a>)],
    pub residents: &'a mut [Kept],
}

impl Recorded {
    /// What the run needs is there afterwards; the first [`Self::replay`] records it.
    pub fn new(
        session: &Session,
        allocator: &Allocator,
        cuda: Option<&Cuda>,
        plan: Plan<'_>,
    ) -> Result<Self, RunError> {
        let failed = |e: ort::Error| RunError(e.to_string());
        let mut binding = session.create_binding().map_err(failed)?;
        let mut inputs = Vec::with_capacity(plan.inputs.len());
        for (name, view) in plan.inputs {
            if plan.host.contains(name) {
                let tensor = owned(view).map_err(failed)?;
                binding.bind_input(*name, &tensor).map_err(failed)?;
                continue;
            }
            let fixed = Fixed::filled(allocator, name, view, cuda)?;
            binding.bind_input(*name, &fixed.tensor).map_err(failed)?;
            inputs.push(fixed);
        }
        for kept in plan.residents {
            binding
                .bind_input(&*kept.input, &kept.tensor)
                .map_err(failed)?;
            binding
                .bind_output(&*kept.output, &mut kept.tensor)
                .map_err(failed)?;
        }
        let mut outputs = Vec::with_capacity(plan.outputs.len());
        for (name, view) in plan.outputs {
            let mut fixed = Fixed::like(allocator, name, view).map_err(failed)?;
            binding
                .bind_output(*name, &mut fixed.tensor)
                .map_err(failed)?;
            outputs.push(fixed);
        }
        let mut options = RunOptions::new().map_err(failed)?;
        options.set(GRAPH, plan.graph.to_string()).map_err(failed)?;
        Ok(Self {
            binding,
            options,
            inputs,
            outputs,
            ran: false,
        })
    }

    /// See [`super::Graph::replay`].
    pub fn replay(
        &mut self,
        session: &mut Session,
        cuda: Option<&Cuda>,
        changed: &[(&str, View<'_>)],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        for (name, view) in changed {
            let fixed = self.inputs.iter_mut().find(|f| f.name == *name);
            let fixed =
                fixed.ok_or_else(|| RunError(format!("\"{name}\" of this run cannot change")))?;
            fixed.fill(view, cuda)?;
        }
        if let Some(cuda) = cuda {
            cuda.settle().map_err(RunError)?;
        }
        {
            let _alone = (!self.ran && cuda.is_some()).then(super::cuda::recording);
            self.run(session).map_err(|e| RunError(e.to_string()))?;
            self.ran = true;
        }
        let outputs = self.outputs.iter();
        let copies: Vec<Copied> = outputs
            .map(|fixed| fixed.fetched(cuda))
            .collect::<Result<_, _>>()?;
        let views: Vec<View<'_>> = self
            .outputs
            .iter()
            .zip(&copies)
            .map(|(fixed, copy)| copy.view(&fixed.shape))
            .collect();
        take(&views);
        Ok(())
    }

    /// Runs without asking for the outputs, which are known; `run_binding` would look at each.
    fn run(&self, session: &mut Session) -> ort::Result<()> {
        // SAFETY: session, options and binding live through the call, which writes to tensors that
        // the binding holds; `session` is borrowed mutably, so that nothing else runs it. A status
        // that is not null is an error, which `result_from_status` reads and frees.
        unsafe {
            ort::Error::result_from_status((ort::api().RunWithBinding)(
                session.ptr().cast_mut(),
                self.options.ptr(),
                self.binding.ptr(),
            ))
        }
    }
}

/// An output's elements, on the host.
enum Copied {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

impl Copied {
    fn view<'v>(&'v self, shape: &'v [i64]) -> View<'v> {
        match self {
            Self::F32(elements) => View::new(shape, elements),
            Self::I64(elements) => View::new(shape, elements),
        }
    }
}

impl Fixed {
    /// A tensor like `view`.
    pub fn filled(
        allocator: &Allocator,
        name: &str,
        view: &View<'_>,
        cuda: Option<&Cuda>,
    ) -> Result<Self, RunError> {
        let mut fixed = Self::like(allocator, name, view).map_err(|e| RunError(e.to_string()))?;
        fixed.fill(view, cuda)?;
        if let Some(cuda) = cuda {
            cuda.settle().map_err(RunError)?;
        }
        Ok(fixed)
    }

    /// A tensor of the shape and type of `view`, its elements undefined.
    fn like(allocator: &Allocator, name: &str, view: &View<'_>) -> ort::Result<Self> {
        let element = match view.data {
            Data::F32(_) => TensorElementType::Float32,
            Data::Bf16(_) => TensorElementType::Bfloat16,
            Data::I64(_) => TensorElementType::Int64,
            Data::I32(_) => TensorElementType::Int32,
            Data::U8(_) => TensorElementType::Uint8,
            Data::Device(_) => {
                let why = format!("\"{name}\" is on the device already");
                return Err(ort::Error::new(why));
            }
        };
        Ok(Self {
            name: name.into(),
            tensor: DynTensor::new(allocator, element, view.shape.to_vec())?,
            shape: view.shape.to_vec(),
            element,
            bytes: view.bytes(),
        })
    }

    /// Takes over the elements of `view`; on the device they are there once it has settled.
    fn fill(&mut self, view: &View<'_>, cuda: Option<&Cuda>) -> Result<(), RunError> {
        let (from, bytes) = view.memory();
        if view.shape != self.shape || bytes != self.bytes {
            return Err(RunError(format!(
                "\"{}\" of this run has the shape {:?}, not {:?}",
                self.name, self.shape, view.shape
            )));
        }
        let to = self.tensor.data_ptr_mut();
        match cuda {
            // SAFETY: the tensor was made with as many bytes as `view` has, which cannot overlap
            // it; nothing else holds its memory while no run is under way, and runs borrow the
            // session mutably.
            None => unsafe { to.cast::<u8>().copy_from_nonoverlapping(from, bytes) },
            // SAFETY: the same, of device memory.
            Some(cuda) => unsafe { cuda.copy(to, from.cast(), bytes) }.map_err(RunError)?,
        }
        Ok(())
    }

    /// A copy of the elements, which may be the device's.
    fn fetched(&self, cuda: Option<&Cuda>) -> Result<Copied, RunError> {
        let from = self.tensor.data_ptr();
        let copy = |to: *mut c_void| match cuda {
            // SAFETY: `to` is a new vector of as many bytes as the tensor has, and the run that
            // wrote to the tensor has ended.
            None => {
                unsafe {
                    to.cast::<u8>()
                        .copy_from_nonoverlapping(from.cast(), self.bytes);
                }
                Ok(())
            }
            // SAFETY: the same, of a tensor in device memory.
            Some(cuda) => unsafe { cuda.copy(to, from, self.bytes) }.map_err(RunError),
        };
        match self.element {
            TensorElementType::Float32 => {
                let mut elements = vec![0.0f32; self.bytes / size_of::<f32>()];
                copy(elements.as_mut_ptr().cast())?;
                Ok(Copied::F32(elements))
            }
            TensorElementType::Int64 => {
                let mut elements = vec![0i64; self.bytes / size_of::<i64>()];
                copy(elements.as_mut_ptr().cast())?;
                Ok(Copied::I64(elements))
            }
            _ => Err(RunError(format!(
                "\"{}\" is of a type that recorded runs do not hand out",
                self.name
            ))),
        }
    }
}

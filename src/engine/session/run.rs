//! A loaded model: runs it on lent tensors, or on bound ones where some stay on the device.
//!
//! Without resident tensors a run lends the inputs and takes fresh outputs. With them every run
//! goes through an `IoBinding`, in which a resident tensor is bound as input and output alike. The
//! runtime's kernels that update a tensor (`ScatterND`, `PagedAttention`) copy nothing when both
//! are one buffer.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::Arc;

use half::bf16;
use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynTensor, DynValue, Tensor, TensorElementType, TensorRef};

use super::cuda::Cuda;
use super::replay::{Fixed, Plan, Recorded, ordinary};
use super::{
    Data, ElementType, Graph, OnDevice, Part, PartType, Resident, RunError, Uploads, View,
};

/// Bytes of inputs above which a run on the CPU gives its memory back. The runtime keeps what its
/// largest run took: for the text detection 200 bytes a pixel. Pages of usual size (26 MB at 144
/// pixels per inch) keep it, which saves the 0.1 s of getting it anew.
const LARGE: usize = 28 << 20;
/// Bytes of an input from which on no copy of it is made on its way to a device: the image rows of a
/// page have 2 MB.
const LENT: usize = 1 << 20;

/// A session of ONNX Runtime.
pub struct OrtGraph {
    session: Session,
    /// What runs hand out that name nothing.
    outputs: Vec<String>,
    /// The device, where the session runs on one.
    cuda: Option<Arc<Cuda>>,
    /// The session makes CUDA graphs of runs that are not marked otherwise.
    graphs: bool,
    bound: Option<Bound>,
    recorded: BTreeMap<usize, Recorded>,
    /// Inputs on the device that many runs share.
    held: BTreeMap<usize, Vec<Fixed>>,
    /// Number of the next CUDA graph; none comes twice, for the session keeps them.
    next_graph: usize,
}

/// Where a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// `CPUExecutionProvider`, `CUDAExecutionProvider`.
    pub provider: String,
    pub operator: String,
    pub node: String,
}

/// A resident tensor and the names by which the graph reads and writes it.
pub(super) struct Kept {
    pub input: String,
    pub output: String,
    pub tensor: DynTensor,
}

struct Bound {
    binding: IoBinding,
    residents: Vec<Kept>,
    /// Outputs that the binding fetches beside the residents.
    fetched: Vec<String>,
    /// Inputs go to a device: large ones are bound as they are.
    lends: bool,
}

impl OrtGraph {
    pub(super) fn new(session: Session, outputs: Vec<String>, cuda: Option<Arc<Cuda>>) -> Self {
        Self {
            session,
            outputs,
            cuda,
            graphs: false,
            bound: None,
            recorded: BTreeMap::new(),
            held: BTreeMap::new(),
            next_graph: 1,
        }
    }

    /// The same of a session with CUDA graphs.
    pub(super) fn with_graphs(self) -> Self {
        Self {
            graphs: true,
            ..self
        }
    }

    /// The names of the model's inputs.
    pub fn inputs(&self) -> Vec<String> {
        let names = self.session.inputs().iter().map(|i| i.name().to_owned());
        names.collect()
    }

    /// The model's outputs whose names begin with `prefix`.
    pub fn named(&self, prefix: &str) -> Vec<String> {
        let names = self.session.outputs().iter().map(|o| o.name());
        names
            .filter(|n| n.starts_with(prefix))
            .map(str::to_owned)
            .collect()
    }

    /// A text of the model's own metadata.
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(key)
    }

    /// Which provider runs which node, after the runtime's optimisations.
    pub fn assigned(&self) -> Result<Vec<Assigned>, RunError> {
        assigned(&self.session).map_err(|e| RunError(e.to_string()))
    }

    /// Nodes of a session on CUDA that run on the CPU although they are more than arithmetic on
    /// shapes. `session.disable_cpu_ep_fallback` is no substitute: it refuses the shape
    /// arithmetic too, which the runtime puts on the CPU because that is faster.
    pub fn strays(&self) -> Result<Vec<Assigned>, RunError> {
        let mut nodes = self.assigned()?;
        nodes.retain(|n| {
            n.provider != "CUDAExecutionProvider" && !SHAPE_ARITHMETIC.contains(&&*n.operator)
        });
        Ok(nodes)
    }

    /// Runs on `inputs` and those held as `set`, and leaves `output` where it was made.
    fn run_to_device(
        &mut self,
        set: Option<usize>,
        inputs: &[(&str, View<'_>)],
        output: &str,
    ) -> ort::Result<DynTensor> {
        let mut binding = self.session.create_binding()?;
        let held = set.and_then(|set| self.held.get(&set));
        for fixed in held.into_iter().flatten() {
            binding.bind_input(&*fixed.name, &fixed.tensor)?;
        }
        for (name, view) in inputs {
            bind_lent(&mut binding, name, view)?;
        }
        let device = MemoryInfo::new(
            AllocationDevice::CUDA,
            0,
            AllocatorType::Device,
            MemoryType::Default,
        )?;
        binding.bind_output_to_device(output, &device)?;
        let mut options = RunOptions::new()?;
        if self.graphs {
            ordinary(&mut options)?;
        }
        let mut outputs = self.session.run_binding_with_options(&binding, &options)?;
        let made = outputs.remove(output);
        let made =
            made.ok_or_else(|| ort::Error::new(format!("there is no output \"{output}\"")))?;
        made.downcast()
    }

    /// Runs on `inputs` and those held as `set`.
    fn run_lent(
        &mut self,
        set: Option<usize>,
        inputs: &[(&str, View<'_>)],
        names: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> ort::Result<()> {
        let held = set.and_then(|set| self.held.get(&set));
        let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for fixed in held.into_iter().flatten() {
            values.push((&fixed.name, (&fixed.tensor).into()));
        }
        for (name, view) in inputs {
            values.push((name, lent(view)?));
        }
        let selector = names
            .iter()
            .fold(OutputSelector::no_default(), |s, name| s.with(*name));
        let mut options = RunOptions::new()?.with_outputs(selector);
        if self.graphs {
            ordinary(&mut options)?;
        }
        let bytes: usize = inputs.iter().map(|(_, view)| view.bytes()).sum();
        if self.cuda.is_none() && bytes > LARGE {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        let outputs = self.session.run_with_options(values, &options)?;
        let views: Vec<View<'_>> = names
            .iter()
            .map(|name| view(&outputs[*name]))
            .collect::<ort::Result<_>>()?;
        take(&views);
        Ok(())
    }
}

impl Graph for OrtGraph {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let loaded = std::mem::take(&mut self.outputs);
        let named: Vec<&str>;
        let names = if outputs.is_empty() {
            named = loaded.iter().map(String::as_str).collect();
            &named
        } else {
            outputs
        };
        let ran = match &mut self.bound {
            None => self.run_lent(None, inputs, names, take),
            Some(bound) => bound.run(&mut self.session, self.graphs, inputs, names, take),
        };
        self.outputs = loaded;
        ran.map_err(|e| RunError(e.to_string()))
    }

    fn uploads(&self, count: usize, bytes: usize) -> Result<Option<Uploads>, RunError> {
        let Some(cuda) = &self.cuda else {
            return Ok(None);
        };
        let allocator = allocator(&self.session, Some(cuda))?;
        Uploads::new(cuda, &allocator, count, bytes).map(Some)
    }

    fn joined(
        &self,
        element: PartType,
        shape: &[i64],
        parts: &[Part<'_>],
    ) -> Result<Option<OnDevice>, RunError> {
        match &self.cuda {
            None => Ok(None),
            Some(cuda) => joined(&self.session, cuda, element, shape, parts).map(Some),
        }
    }

    fn run_kept(
        &mut self,
        set: Option<usize>,
        inputs: &[(&str, View<'_>)],
        output: &str,
    ) -> Result<Option<OnDevice>, RunError> {
        let Some(cuda) = self.cuda.clone() else {
            return Ok(None);
        };
        let kept = self.run_to_device(set, inputs, output);
        let tensor = kept.map_err(|e| RunError(e.to_string()))?;
        if *tensor.data_type() != TensorElementType::Bfloat16 {
            return Err(RunError(format!("\"{output}\" is not bfloat16")));
        }
        let elements: i64 = tensor.shape().iter().product();
        let bytes = elements as usize * size_of::<bf16>();
        Ok(Some(OnDevice::new(tensor, bytes, &cuda)))
    }

    fn hold(&mut self, set: usize, inputs: &[(&str, View<'_>)]) -> Result<bool, RunError> {
        // On the CPU a run borrows them where they are.
        let Some(cuda) = self.cuda.as_deref() else {
            return Ok(false);
        };
        let allocator = allocator(&self.session, Some(cuda))?;
        let held = inputs
            .iter()
            .map(|(name, view)| Fixed::filled(&allocator, name, view, Some(cuda)))
            .collect::<Result<_, _>>()?;
        self.held.insert(set, held);
        Ok(true)
    }

    fn run_with(
        &mut self,
        set: usize,
        inputs: &[(&str, View<'_>)],
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        self.run_lent(Some(set), inputs, outputs, take)
            .map_err(|e| RunError(e.to_string()))
    }

    fn keep(&mut self, residents: &[Resident]) -> Result<(), RunError> {
        // The old ones go first: the device may not hold both.
        self.recorded.clear();
        self.bound = None;
        if residents.is_empty() {
            return Ok(());
        }
        let bound = Bound::new(&self.session, residents, self.cuda.as_deref())?;
        self.bound = Some(bound);
        Ok(())
    }

    fn record(
        &mut self,
        id: usize,
        inputs: &[(&str, View<'_>)],
        host: &[&str],
        outputs: &[(&str, View<'_>)],
    ) -> Result<(), RunError> {
        if self.cuda.is_some() && !self.graphs {
            return Err(RunError("the session was made without CUDA graphs".into()));
        }
        let cuda = self.cuda.as_deref();
        let allocator = allocator(&self.session, cuda)?;
        let plan = Plan {
            graph: self.next_graph,
            inputs,
            host,
            outputs,
            residents: match &mut self.bound {
                Some(bound) => &mut bound.residents,
                None => &mut [],
            },
        };
        self.next_graph += 1;
        let recorded = Recorded::new(&self.session, &allocator, cuda, plan)?;
        self.recorded.insert(id, recorded);
        Ok(())
    }

    fn replay(
        &mut self,
        id: usize,
        changed: &[(&str, View<'_>)],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let recorded = self
            .recorded
            .get_mut(&id)
            .ok_or_else(|| RunError(format!("no run was recorded as {id}")))?;
        recorded.replay(&mut self.session, self.cuda.as_deref(), changed, take)
    }
}

/// `parts` one after the other on the device.
fn joined(
    session: &Session,
    cuda: &Arc<Cuda>,
    element: PartType,
    shape: &[i64],
    parts: &[Part<'_>],
) -> Result<OnDevice, RunError> {
    let (element, size) = match element {
        PartType::U8 => (TensorElementType::Uint8, size_of::<u8>()),
        PartType::Bf16 => (TensorElementType::Bfloat16, size_of::<bf16>()),
    };
    let bytes: usize = parts.iter().map(Part::len).sum();
    if shape.iter().product::<i64>() as usize * size != bytes {
        return Err(RunError(format!(
            "{bytes} bytes are not of the shape {shape:?}"
        )));
    }
    let allocator = allocator(session, Some(cuda))?;
    let tensor = DynTensor::new(&allocator, element, shape.to_vec());
    let mut tensor = tensor.map_err(|e| RunError(e.to_string()))?;
    let mut to = tensor.data_ptr_mut().cast::<u8>();
    let copied = parts.iter().try_for_each(|part| {
        let from = part.first()?;
        // SAFETY: the tensor has as many bytes as all parts have, and nothing else uses it yet; the
        // part's are there, on the host or on the device, while it is borrowed, and `settle` below
        // waits for the copy whatever comes of the others.
        unsafe { cuda.copy(to.cast(), from, part.len()) }.map_err(RunError)?;
        to = to.wrapping_add(part.len());
        Ok(())
    });
    cuda.settle().map_err(RunError)?;
    copied?;
    Ok(OnDevice::new(tensor, bytes, cuda))
}

/// Of memory where the session's tensors are.
fn allocator(session: &Session, cuda: Option<&Cuda>) -> Result<Allocator, RunError> {
    match cuda {
        None => Ok(Allocator::default()),
        Some(_) => MemoryInfo::new(
            AllocationDevice::CUDA,
            0,
            AllocatorType::Device,
            MemoryType::Default,
        )
        .and_then(|info| Allocator::new(session, info))
        .map_err(|e| RunError(e.to_string())),
    }
}

impl Bound {
    fn new(
        session: &Session,
        residents: &[Resident],
        cuda: Option<&Cuda>,
    ) -> Result<Self, RunError> {
        let failed = |e: ort::Error| RunError(e.to_string());
        let allocator = allocator(session, cuda)?;
        let mut bound = Self {
            binding: session.create_binding().map_err(failed)?,
            residents: Vec::with_capacity(residents.len()),
            fetched: Vec::new(),
            lends: cuda.is_some(),
        };
        for resident in residents {
            let tensor = zeroed(&allocator, resident, cuda)?;
            bound
                .binding
                .bind_input(&*resident.input, &tensor)
                .map_err(failed)?;
            bound.residents.push(Kept {
                input: resident.input.clone(),
                output: resident.output.clone(),
                tensor,
            });
        }
        bound.bind_residents().map_err(failed)?;
        Ok(bound)
    }

    fn bind_residents(&mut self) -> ort::Result<()> {
        for kept in &mut self.residents {
            self.binding.bind_output(&*kept.output, &mut kept.tensor)?;
        }
        Ok(())
    }

    fn run(
        &mut self,
        session: &mut Session,
        graphs: bool,
        inputs: &[(&str, View<'_>)],
        names: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> ort::Result<()> {
        for (name, view) in inputs {
            let there = matches!(view.data, Data::Device(_));
            if there || self.lends && view.bytes() >= LENT {
                bind_lent(&mut self.binding, name, view)?;
            } else {
                self.binding.bind_input(*name, &owned(view)?)?;
            }
        }
        let names: Vec<&str> = names
            .iter()
            .filter(|n| !self.residents.iter().any(|kept| kept.output == **n))
            .copied()
            .collect();
        if self.fetched != names {
            self.binding.clear_outputs();
            self.bind_residents()?;
            self.fetched = names.iter().map(|&n| n.to_owned()).collect();
        }
        // Bound anew for each run: the runtime would keep the tensor of the last one, whose shape
        // may be another.
        let host = MemoryInfo::new(
            AllocationDevice::CPU,
            0,
            AllocatorType::Device,
            MemoryType::CPUOutput,
        )?;
        for name in &names {
            self.binding.bind_output_to_device(*name, &host)?;
        }
        let mut options = RunOptions::new()?;
        if graphs {
            ordinary(&mut options)?;
        }
        let outputs = session.run_binding_with_options(&self.binding, &options)?;
        let views: Vec<View<'_>> = names
            .iter()
            .map(|name| view(&outputs[*name]))
            .collect::<ort::Result<_>>()?;
        take(&views);
        Ok(())
    }
}

/// A tensor that the runtime borrows for one run.
fn lent<'v>(view: &View<'v>) -> ort::Result<SessionInputValue<'v>> {
    let shape = view.shape;
    Ok(match view.data {
        Data::F32(data) => TensorRef::from_array_view((shape, data))?.into(),
        Data::Bf16(data) => TensorRef::from_array_view((shape, data))?.into(),
        Data::I64(data) => TensorRef::from_array_view((shape, data))?.into(),
        Data::I32(data) => TensorRef::from_array_view((shape, data))?.into(),
        Data::U8(data) => TensorRef::from_array_view((shape, data))?.into(),
        Data::Device(tensor) => tensor.tensor().into(),
    })
}

/// Binds a tensor that the device gets in this call, or that is there. The runtime may keep no copy of
/// one on the host: each input is bound anew before the next run.
fn bind_lent(binding: &mut IoBinding, name: &str, view: &View<'_>) -> ort::Result<()> {
    let shape = view.shape;
    match view.data {
        Data::F32(data) => binding.bind_input(name, &*TensorRef::from_array_view((shape, data))?),
        Data::Bf16(data) => binding.bind_input(name, &*TensorRef::from_array_view((shape, data))?),
        Data::I64(data) => binding.bind_input(name, &*TensorRef::from_array_view((shape, data))?),
        Data::I32(data) => binding.bind_input(name, &*TensorRef::from_array_view((shape, data))?),
        Data::U8(data) => binding.bind_input(name, &*TensorRef::from_array_view((shape, data))?),
        Data::Device(tensor) => binding.bind_input(name, tensor.tensor()),
    }
}

/// A copy that a binding on the CPU can hold: a borrowed tensor it would copy anyway, through a
/// session.
pub(super) fn owned(view: &View<'_>) -> ort::Result<DynTensor> {
    let shape = view.shape;
    Ok(match view.data {
        Data::F32(data) => Tensor::from_array((shape, data.to_vec()))?.upcast(),
        Data::Bf16(data) => Tensor::from_array((shape, data.to_vec()))?.upcast(),
        Data::I64(data) => Tensor::from_array((shape, data.to_vec()))?.upcast(),
        Data::I32(data) => Tensor::from_array((shape, data.to_vec()))?.upcast(),
        Data::U8(data) => Tensor::from_array((shape, data.to_vec()))?.upcast(),
        Data::Device(_) => return Err(ort::Error::new("a tensor on the device is not copied")),
    })
}

fn view(value: &DynValue) -> ort::Result<View<'_>> {
    macro_rules! of {
        ($element:ty) => {{
            let (shape, data) = value.try_extract_tensor::<$element>()?;
            View::new(shape, data)
        }};
    }
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => of!(f32),
        Some(TensorElementType::Bfloat16) => of!(bf16),
        Some(TensorElementType::Int64) => of!(i64),
        Some(TensorElementType::Int32) => of!(i32),
        Some(TensorElementType::Uint8) => of!(u8),
        _ => return Err(ort::Error::new("an output of a type that is not read here")),
    })
}

fn zeroed(
    allocator: &Allocator,
    resident: &Resident,
    cuda: Option<&Cuda>,
) -> Result<DynTensor, RunError> {
    let element = match resident.element {
        ElementType::F32 => TensorElementType::Float32,
        ElementType::Bf16 => TensorElementType::Bfloat16,
        ElementType::U8 => TensorElementType::Uint8,
    };
    let bytes = resident.bytes().ok_or_else(|| {
        RunError(format!(
            "\"{}\" cannot have the shape {:?}",
            resident.input, resident.shape
        ))
    })?;
    let mut tensor = DynTensor::new(allocator, element, resident.shape.clone())
        .map_err(|e| RunError(format!("cannot allocate {bytes} bytes: {e}")))?;
    let data = tensor.data_ptr_mut();
    match cuda {
        // SAFETY: the allocator has just given `bytes` bytes of host memory at `data` (the product
        // of shape and element size), nobody else holds the tensor, and zero bytes are valid elements
        // of every type.
        None => unsafe { data.cast::<u8>().write_bytes(0, bytes) },
        // SAFETY: the same, of device memory.
        Some(cuda) => unsafe { cuda.zero(data, bytes) }.map_err(RunError)?,
    }
    Ok(tensor)
}

/// Operators that compute shapes and indices, whose tensors hold a few integers.
const SHAPE_ARITHMETIC: [&str; 24] = [
    "Add",
    "Cast",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Expand",
    "Gather",
    "Identity",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Range",
    "ReduceProd",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Squeeze",
    "Sub",
    "Unsqueeze",
    "Where",
];

/// Asks the runtime by its C interface, which `ort` does not wrap.
fn assigned(session: &Session) -> ort::Result<Vec<Assigned>> {
    let api = ort::api();
    // SAFETY (all of this function): the pointers that the runtime fills belong to the session,
    // which outlives this call; lists hold as many entries as it says, texts end with a zero. A
    // status that is not null is an error, which `result_from_status` reads and frees.
    let check = |status| unsafe { ort::Error::result_from_status(status) };
    let text = |p: *const c_char| unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned();
    let mut out = Vec::new();
    let (mut subgraphs, mut count) = (std::ptr::null(), 0);
    check(unsafe {
        (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut subgraphs, &mut count)
    })?;
    for i in 0..count {
        let subgraph = unsafe { *subgraphs.add(i) };
        let mut provider = std::ptr::null();
        check(unsafe { (api.EpAssignedSubgraph_GetEpName)(subgraph, &mut provider) })?;
        let (mut nodes, mut count) = (std::ptr::null(), 0);
        check(unsafe { (api.EpAssignedSubgraph_GetNodes)(subgraph, &mut nodes, &mut count) })?;
        for i in 0..count {
            let node = unsafe { *nodes.add(i) };
            let (mut operator, mut name) = (std::ptr::null(), std::ptr::null());
            check(unsafe { (api.EpAssignedNode_GetOperatorType)(node, &mut operator) })?;
            check(unsafe { (api.EpAssignedNode_GetName)(node, &mut name) })?;
            out.push(Assigned {
                provider: text(provider),
                operator: text(operator),
                node: text(name),
            });
        }
    }
    Ok(out)
}

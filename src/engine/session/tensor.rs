//! The seam between engines and what runs their models: named tensors in, named tensors out.
//! Tests put arithmetic fakes behind [`Graph`].

use half::bf16;

use super::device::OnDevice;
use super::upload::{Part, PartType, Uploads};

/// Elements of a tensor, row-major, lent to a graph or by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Data<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    I64(&'a [i64]),
    I32(&'a [i32]),
    U8(&'a [u8]),
    /// On the device of the graph.
    Device(&'a OnDevice),
}

macro_rules! from_slices {
    ($($variant:ident $element:ty),*) => {$(
        impl<'a> From<&'a [$element]> for Data<'a> {
            fn from(elements: &'a [$element]) -> Self {
                Self::$variant(elements)
            }
        }
    )*};
}
from_slices!(F32 f32, Bf16 bf16, I64 i64, I32 i32, U8 u8);

/// A tensor lent to a graph or by it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub shape: &'a [i64],
    pub data: Data<'a>,
}

impl<'a> View<'a> {
    pub fn new<T>(shape: &'a [i64], elements: &'a [T]) -> Self
    where
        Data<'a>: From<&'a [T]>,
    {
        Self {
            shape,
            data: elements.into(),
        }
    }

    /// The tensor on the device.
    pub fn on_device(tensor: &'a OnDevice) -> Self {
        Self {
            shape: tensor.shape(),
            data: Data::Device(tensor),
        }
    }

    /// The elements of a tensor of 32-bit floats; none of any other.
    pub fn f32(&self) -> &'a [f32] {
        match self.data {
            Data::F32(elements) => elements,
            _ => &[],
        }
    }

    /// The elements of a tensor of floats as 32-bit ones; none of any other.
    pub fn to_f32(&self) -> Vec<f32> {
        match self.data {
            Data::F32(elements) => elements.to_vec(),
            Data::Bf16(elements) => elements.iter().map(|v| v.to_f32()).collect(),
            _ => Vec::new(),
        }
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.memory().1
    }

    /// Where the elements are, on the host or on the device, and how many bytes they take.
    pub(super) fn memory(&self) -> (*const u8, usize) {
        macro_rules! of {
            ($elements:expr) => {
                ($elements.as_ptr().cast(), size_of_val($elements))
            };
        }
        match self.data {
            Data::F32(e) => of!(e),
            Data::Bf16(e) => of!(e),
            Data::I64(e) => of!(e),
            Data::I32(e) => of!(e),
            Data::U8(e) => of!(e),
            Data::Device(tensor) => tensor.memory(),
        }
    }

    /// The elements of a tensor of 64-bit integers; none of any other.
    pub fn i64(&self) -> &'a [i64] {
        match self.data {
            Data::I64(elements) => elements,
            _ => &[],
        }
    }
}

/// Type of a resident tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    F32,
    Bf16,
    U8,
}

impl ElementType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }
}

/// A tensor that stays on the device from run to run: one buffer that the graph reads as `input`
/// and writes as `output`. Zero at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    pub input: String,
    pub output: String,
    pub element: ElementType,
    pub shape: Vec<i64>,
}

impl Resident {
    /// Bytes of all elements; `None` for a shape that cannot be.
    pub fn bytes(&self) -> Option<usize> {
        let mut sizes = self.shape.iter();
        sizes.try_fold(self.element.bytes(), |product, &d| {
            product.checked_mul(usize::try_from(d).ok()?)
        })
    }
}

/// A run that failed: the runtime's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RunError(pub String);

impl RunError {
    /// Memory of the machine or of the device was not enough for this run; a smaller one may do.
    pub fn is_memory(&self) -> bool {
        self.says(&["alloc", "out of memory"])
    }

    /// The machine is at fault, not what was to be read.
    pub fn is_machine(&self) -> bool {
        self.is_memory() || self.says(&["cuda", "cudnn", "cublas", "device"])
    }

    fn says(&self, words: &[&str]) -> bool {
        let lower = self.0.to_lowercase();
        words.iter().any(|w| lower.contains(w))
    }
}

/// A model that runs on named tensors.
pub trait Graph: Send {
    /// `count` places on the device, of `bytes` bytes, for parts of inputs; `None` where there is no
    /// device of its own.
    fn uploads(&self, _count: usize, _bytes: usize) -> Result<Option<Uploads>, RunError> {
        Ok(None)
    }

    /// Runs the graph and hands `outputs` to `take`, in that order (empty: those named when it
    /// was loaded). An output that is not named is not fetched from the device. Resident tensors
    /// are neither given nor named here.
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError>;

    /// Keeps inputs that many runs share on the device, as `set`, for [`Graph::run_with`]. False
    /// where that would win nothing.
    fn hold(&mut self, _set: usize, _inputs: &[(&str, View<'_>)]) -> Result<bool, RunError> {
        Ok(false)
    }

    /// [`Graph::run`] with the inputs held as `set` beside `inputs`.
    fn run_with(
        &mut self,
        set: usize,
        _inputs: &[(&str, View<'_>)],
        _outputs: &[&str],
        _take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        Err(RunError(format!("this graph holds no inputs {set}")))
    }

    /// `parts` one after the other as a tensor of `shape` and of `element`s on the device; `None` where
    /// there is no device of its own.
    fn joined(
        &self,
        _element: PartType,
        _shape: &[i64],
        _parts: &[Part<'_>],
    ) -> Result<Option<OnDevice>, RunError> {
        Ok(None)
    }

    /// [`Graph::run_with`], or where `set` is `None` [`Graph::run`], for one `output`, in bfloat16, that
    /// stays on the device; `None`, and no run, where there is no device of its own.
    fn run_kept(
        &mut self,
        _set: Option<usize>,
        _inputs: &[(&str, View<'_>)],
        _output: &str,
    ) -> Result<Option<OnDevice>, RunError> {
        Ok(None)
    }

    /// Gives the graph its resident tensors, in place of any that it has. Recorded runs are
    /// forgotten.
    fn keep(&mut self, residents: &[Resident]) -> Result<(), RunError> {
        match residents {
            [] => Ok(()),
            [first, ..] => Err(RunError(format!(
                "this graph keeps no tensors (\"{}\")",
                first.input
            ))),
        }
    }

    /// Makes a run ready to be repeated as `id` with the least that a run can cost: every tensor
    /// gets a fixed place on the device, and the device its list of kernels. Shapes are those of
    /// `inputs`. Those that `host` names are in the CPU's memory; their values stay what they are
    /// now. `outputs` have the shapes and types of the tensors beside their names. Runs nothing: the
    /// first [`Self::replay`] records, and all runs of a graph are made ready before that, for a
    /// repetition writes to memory that tensors made later may have got.
    fn record(
        &mut self,
        _id: usize,
        _inputs: &[(&str, View<'_>)],
        _host: &[&str],
        _outputs: &[(&str, View<'_>)],
    ) -> Result<(), RunError> {
        Err(RunError("this graph records no runs".into()))
    }

    /// Repeats the run recorded as `id`, with new values of `changed` inputs, the others being as
    /// they were, and hands its outputs to `take`. The first time it runs a few times, which must
    /// do no harm.
    fn replay(
        &mut self,
        id: usize,
        _changed: &[(&str, View<'_>)],
        _take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        Err(RunError(format!("this graph has no recorded run {id}")))
    }
}

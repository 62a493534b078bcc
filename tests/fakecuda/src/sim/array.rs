//! Arrays: device memory whose layout is the driver's own affair. Here rows follow each other without a gap.
use crate::sim::process::Process;
use crate::sim::work::End;
use nvshare_abi::CUresult;
use std::collections::BTreeMap;

/// As `CUDA_ARRAY3D_DESCRIPTOR`, with enumerations as integers.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub width: u64,
    /// 0 for an array of one dimension, as is the next for one of two.
    pub height: u64,
    pub depth: u64,
    pub format: u32,
    pub channels: u32,
    pub flags: u32,
}

pub struct Array {
    pub shape: Shape,
    at: u64,
    /// The mipmapped array that it is a level of.
    mipmap: Option<usize>,
}

#[derive(Default)]
pub struct Arrays {
    pub all: BTreeMap<usize, Array>,
    pub mipmaps: BTreeMap<usize, Vec<usize>>,
}

impl Arrays {
    /// Forgets the arrays whose memory begins at one of these: it goes with its context.
    pub fn forget(&mut self, starts: &[u64]) {
        self.all.retain(|_, array| !starts.contains(&array.at));
        let all = &self.all;
        self.mipmaps.retain(|_, levels| levels.iter().all(|level| all.contains_key(level)));
    }
}

impl Shape {
    /// Bytes of one cell. Formats: 0x01 and 0x08 have 8 bits a channel, 0x02, 0x09 and 0x10 have 16, others 32.
    fn cell(&self) -> u64 {
        let channel = match self.format {
            0x01 | 0x08 => 1,
            0x02 | 0x09 | 0x10 => 2,
            _ => 4,
        };
        channel * u64::from(self.channels)
    }

    fn row(&self) -> u64 {
        self.width * self.cell()
    }

    fn bytes(&self) -> u64 {
        self.row() * self.height.max(1) * self.depth.max(1)
    }
}

impl Array {
    /// An end of a copy, that begins so far into the array.
    ///
    /// # Errors
    /// `INVALID_VALUE` beyond all addresses.
    pub fn end(&self, x_bytes: u64, y: u64, z: u64) -> Result<End, CUresult> {
        let (pitch, slice) = (self.shape.row(), self.shape.row() * self.shape.height.max(1));
        End::within(self.at, [x_bytes, y, z], pitch, slice)
    }
}

impl Process {
    /// Makes an array in the current context; its handle.
    pub fn create_array(&self, shape: Shape, mipmap: Option<usize>) -> Result<usize, CUresult> {
        let (context, device) = self.context()?;
        if shape.width == 0 || !matches!(shape.channels, 1 | 2 | 4) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let at = self.allocate_plain(shape.bytes(), device, context)?;
        let mut inner = self.inner();
        let handle = inner.handle();
        inner.arrays.all.insert(handle, Array { shape, at, mipmap });
        Ok(handle)
    }

    /// Ends an array; a level goes with its mipmapped array only.
    pub fn destroy_array(&self, handle: usize, mipmap: Option<usize>) -> Result<(), CUresult> {
        let array = {
            let mut inner = self.inner();
            let known = inner.arrays.all.get(&handle).is_some_and(|array| array.mipmap == mipmap);
            if !known {
                return Err(CUresult::ERROR_INVALID_HANDLE);
            }
            inner.arrays.all.remove(&handle).ok_or(CUresult::ERROR_INVALID_HANDLE)?
        };
        self.free(array.at)
    }

    /// Makes an array of so many levels, each half as large as the one before.
    pub fn create_mipmap(&self, shape: Shape, levels: u32) -> Result<usize, CUresult> {
        let mipmap = self.inner().handle();
        let most = u64::BITS - shape.width.max(shape.height).max(shape.depth).leading_zeros();
        let half = |side: u64, level: u32| if side == 0 { 0 } else { (side >> level).max(1) };
        let mut made = Vec::new();
        for level in 0..levels.clamp(1, most.max(1)) {
            let (width, height) = (half(shape.width, level), half(shape.height, level));
            let smaller = Shape { width, height, depth: half(shape.depth, level), ..shape };
            match self.create_array(smaller, Some(mipmap)) {
                Ok(array) => made.push(array),
                Err(code) => {
                    made.into_iter().try_for_each(|array| self.destroy_array(array, Some(mipmap)))?;
                    return Err(code);
                }
            }
        }
        self.inner().arrays.mipmaps.insert(mipmap, made);
        Ok(mipmap)
    }

    /// Ends a mipmapped array with its levels.
    pub fn destroy_mipmap(&self, handle: usize) -> Result<(), CUresult> {
        let levels = self.inner().arrays.mipmaps.remove(&handle).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        levels.into_iter().try_for_each(|array| self.destroy_array(array, Some(handle)))
    }
}

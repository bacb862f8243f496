//! What is seen of a page before the model: that nothing is on it, that it lies on its side or its
//! head, and its views. The model invents text for empty pages and reads turned ones wrongly.

use std::sync::{Mutex, PoisonError};

use super::preprocess::{self, Views};
use super::vision;
use crate::config::Mode;
use crate::engine::blank::is_blank;
use crate::engine::paddle::orientation::Orientation;
use crate::engine::paddle::pixels::{Pixels, upright};
use crate::engine::session::{Upload, Uploads};
use crate::pack::Geometry;
use crate::page::{PageImage, Rotation};

/// A page as it was seen.
pub enum Sight {
    /// Nothing is on it.
    Blank,
    /// Its views, upright; `rotation` says how its content was turned. `upload` holds their
    /// pixels on the device, where there is one with room for them; then they have none themselves.
    Page {
        views: Views,
        rotation: Rotation,
        upload: Option<Upload>,
    },
}

/// What looking takes.
pub struct Look {
    geometry: Geometry,
    /// Without, pages are taken as they lie.
    orientation: Option<Mutex<Orientation>>,
    /// Places for views on the device.
    uploads: Option<Uploads>,
}

impl Look {
    pub fn new(
        geometry: &Geometry,
        orientation: Option<Orientation>,
        uploads: Option<Uploads>,
    ) -> Self {
        Self {
            uploads,
            geometry: geometry.clone(),
            orientation: orientation.map(Mutex::new),
        }
    }

    pub fn at(&self, image: &PageImage, mode: Mode) -> Sight {
        if is_blank(image) {
            return Sight::Blank;
        }
        let rotation = match &self.orientation {
            Some(orientation) => orientation
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .of(&Pixels::from(image))
                .inspect_err(|e| tracing::warn!("a page is taken as it lies: {e}"))
                .unwrap_or_default(),
            None => Rotation::None,
        };
        let mut views = if rotation == Rotation::None {
            preprocess::prepare(image, mode, &self.geometry)
        } else {
            let turned = upright(Pixels::from(image), rotation);
            let image = PageImage {
                width: turned.width,
                height: turned.height,
                rgb: turned.rgb.into_owned(),
                dpi: image.dpi,
            };
            preprocess::prepare(&image, mode, &self.geometry)
        };
        let uploads = self.uploads.as_ref();
        let upload = uploads.and_then(|uploads| uploads.put(&vision::pixels(&views)));
        if upload.is_some() {
            vision::forget_pixels(&mut views);
        }
        Sight::Page {
            views,
            rotation,
            upload,
        }
    }
}

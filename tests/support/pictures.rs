//! A PDF whose pages are pictures.

/// A page that is one picture.
pub struct Page {
    /// Width and height of the page, points.
    pub points: [f32; 2],
    /// Width and height of the picture, pixels.
    pub pixels: (u32, u32),
    /// Further attributes of the picture: its filter.
    pub attributes: &'static str,
    /// RGB, 8 bits a channel, as the filter wants it.
    pub bytes: Vec<u8>,
}

pub fn pdf(pages: &[Page]) -> Vec<u8> {
    let mut objects = vec![b"<</Type/Catalog/Pages 2 0 R>>".to_vec(), Vec::new()];
    let mut kids = String::new();
    for page in pages {
        let [pw, ph] = page.points;
        let (w, h) = page.pixels;
        let first = objects.len() + 1;
        kids.push_str(&format!("{first} 0 R "));
        objects.push(
            format!(
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 {pw} {ph}]/Contents {} 0 R\
                 /Resources<</XObject<</P {} 0 R>>>>>>",
                first + 1,
                first + 2
            )
            .into_bytes(),
        );
        let content = format!("{pw} 0 0 {ph} 0 0 cm /P Do");
        objects.push(stream("", content.as_bytes()));
        let attributes = format!(
            "/Type/XObject/Subtype/Image/Width {w}/Height {h}/ColorSpace/DeviceRGB\
             /BitsPerComponent 8{}",
            page.attributes
        );
        objects.push(stream(&attributes, &page.bytes));
    }
    objects[1] = format!("<</Type/Pages/Count {}/Kids[{kids}]>>", pages.len()).into_bytes();
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (i, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", out.len()));
        out.extend_from_slice(format!("{} 0 obj\n", i + 1).as_bytes());
        out.extend_from_slice(object);
        out.extend_from_slice(b"\nendobj\n");
    }
    let start = out.len();
    let trailer = format!(
        "{table}trailer\n<</Size {}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n",
        objects.len() + 1
    );
    out.extend_from_slice(trailer.as_bytes());
    out
}

fn stream(attributes: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("<<{attributes}/Length {}>>\nstream\n", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    object.extend_from_slice(b"\nendstream");
    object
}

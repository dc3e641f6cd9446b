//! Pictures, as SVG: what an attempt did over time. Each has its own background and follows the reader's colour scheme where the
//! viewer tells it.
//!
//! The pieces are open, so that whoever has more to show, such as what clients were answered, draws it in the same hand.

pub mod labels;
pub mod marks;

mod attempt;
mod pen;

pub use pen::{Pen, Scale};

use crate::model::Explanation;
use crate::style::Style;

/// Classes that the elements of a picture have.
pub const STYLE: &str = "
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:11px;fill:#59636e}
.title{font-size:15px;font-weight:600;fill:#1f2328}
.strong{fill:#1f2328}
.page{fill:#fbfcfd;stroke:#d8dee4}
.lane{fill:#f1f4f7}
.grid{stroke:#dfe4e9;stroke-width:1}
.weight{fill:none;stroke:#1f2328;stroke-width:1.8;stroke-linejoin:round}
.limit{stroke:#59636e;stroke-width:1.2;stroke-dasharray:4 3}
.area{stroke-width:1;fill-opacity:.34;stroke-opacity:.7}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.wide{stroke-width:5;stroke-opacity:.45}
.s0{stroke:#8c959f}.f0{fill:#8c959f}
.s1{stroke:#0969da}.f1{fill:#0969da}
.s2{stroke:#d9480f}.f2{fill:#d9480f}
.on{fill:#1f2328;font-size:10px}
.halo{stroke:#fbfcfd;stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
.mark{stroke-width:1;stroke-opacity:.75}
.plain{stroke:#8c959f;stroke-dasharray:2 3}
line.good{stroke:#1a7f37}text.good{fill:#1a7f37;font-weight:600}
line.bad{stroke:#cf222e}circle.good{fill:#1a7f37}circle.bad{fill:#cf222e}text.bad{fill:#cf222e;font-weight:600}
@media (prefers-color-scheme:dark){
text{fill:#9198a1}
.title,.strong,.on{fill:#f0f6fc}
.page{fill:#0d1117;stroke:#30363d}
.halo{stroke:#0d1117}
.lane{fill:#151b23}
.grid{stroke:#262c34}
.weight{stroke:#f0f6fc}
.limit{stroke:#9198a1}
.s0{stroke:#7d8590}.f0{fill:#7d8590}
.s1{stroke:#4493f8}.f1{fill:#4493f8}
.s2{stroke:#f0883e}.f2{fill:#f0883e}
.plain{stroke:#6e7681}
line.good{stroke:#3fb950}text.good{fill:#3fb950}
line.bad{stroke:#f85149}circle.good{fill:#3fb950}circle.bad{fill:#f85149}text.bad{fill:#f85149}
}
";

/// An attempt: the share that the new revision had, what the gate measured that decided it, and when things happened.
pub fn explain(explanation: &Explanation, style: &Style) -> String {
    attempt::draw(explanation, style)
}

//! `motif preset`: sweeps that come with Motif.

use motif_sweep::{
    presets::{self, Scale},
    spec::{SpecErrors, SweepSpec},
};
use motif_wire::problem::Problem;
use serde_json::{Value, json};

use crate::{
    args::{self, Global, Preset, PresetName},
    commands::{
        Outcome, preview,
        sweeps::{problem_text, submit_value},
    },
    input::WrongInput,
    output::{self, tables},
};

pub(crate) async fn run(global: &Global, command: &Preset) -> anyhow::Result<Outcome> {
    match command {
        Preset::List => {
            let all: Vec<Value> = presets::all()
                .iter()
                .map(|p| json!({ "name": p.name, "summary": p.summary, "scales": scales(p) }))
                .collect();
            output::emit(global.json, &all, || {
                let mut table = tables::table(&["preset", "scales", "what it is for"], &[]);
                for preset in presets::all() {
                    table.add_row(vec![preset.name, &scales(preset).join(", "), preset.summary.as_str()]);
                }
                table.to_string()
            })?;
            Ok(Outcome::Done)
        }
        Preset::Show { which } => {
            let chosen = Chosen::of(which)?;
            let as_written = which.scale.is_none() && which.seeds.is_none();
            let text = if as_written { find(which)?.toml.to_owned() } else { chosen.toml()? };
            output::emit(global.json, &chosen.spec.to_json(), || text)?;
            Ok(Outcome::Done)
        }
        Preset::Submit { which, how } => {
            let chosen = Chosen::of(which)?;
            if how.dry_run {
                return preview::run(global, chosen.spec, &|errors| errors).await;
            }
            let refused = |problem: &Problem| WrongInput(problem_text(problem)).into();
            submit_value(global, &chosen.request, how, &refused).await
        }
    }
}

fn scales(preset: &presets::Preset) -> Vec<&'static str> {
    if preset.paper.is_some() { Scale::ALL.map(Scale::name).to_vec() } else { Vec::new() }
}

/// A preset as it was asked for.
struct Chosen {
    /// What is sent to the server.
    request: Value,
    /// What that means.
    spec: SweepSpec,
}

impl Chosen {
    fn of(which: &PresetName) -> anyhow::Result<Self> {
        find(which)?;
        let mut request = json!({ "preset": which.name });
        if let Some(scale) = which.scale {
            let scale = match scale {
                args::Scale::Quick => Scale::Quick,
                args::Scale::Paper => Scale::Paper,
            };
            request["scale"] = json!(scale.name());
        }
        if let Some(seeds) = which.seeds {
            request["overrides"] = json!({ "seeds": seeds });
        }
        let wrong = |errors: SpecErrors| WrongInput(format!("preset {}: {errors}", which.name));
        let spec = SweepSpec::from_json(request.clone()).map_err(wrong)?;
        Ok(Self { request, spec })
    }

    fn toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(&self.spec)?)
    }
}

fn find(which: &PresetName) -> anyhow::Result<&'static presets::Preset> {
    presets::find(&which.name).ok_or_else(|| {
        let names: Vec<_> = presets::all().iter().map(|preset| preset.name).collect();
        WrongInput(format!("preset {:?}: no such preset (there are: {})", which.name, names.join(", ")))
            .into()
    })
}

//! What one trial trains: the config that, with a seed and a dataset's content, determines every bit of the result.
//!
//! The names follow the paper and `docs` of each field give the symbol. Validation lives in [`crate::validate`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::augment::Augment;

/// The config of one trial. A trial is a pure function of (config, seed, dataset content).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrialConfig {
    /// Name of the dataset, resolved to a content hash when the trial is submitted.
    pub dataset: String,
    /// Train on the first `n` examples after a shuffle seeded by the trial, of those that `validation` leaves; all of
    /// them when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Test on the first `n` examples after a shuffle seeded by the trial; all of them when absent. Not read with
    /// `validation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
    /// Hold `n` training examples out, the same for every seed and config, and measure on them: `validation_accuracy`
    /// and `validation_loss` are logged, and the test examples are not looked at. Off when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// How training images are moved and mirrored; off by default.
    #[serde(skip_serializing_if = "Augment::is_off")]
    pub augment: Augment,
    /// Upstream hidden widths `n_1 … n_{L-1}`.
    pub hidden: Vec<usize>,
    /// The learning rule.
    pub rule: RuleName,
    /// Under `rule = "custom"`: how the error reaches the hidden layers. Other rules do not read it.
    #[serde(skip_serializing_if = "Feedback::is_motif")]
    pub feedback: Feedback,
    /// Under `rule = "custom"`: what changes each synapse. Other rules do not read it.
    #[serde(skip_serializing_if = "Updates::is_empty")]
    pub updates: Updates,
    /// Downstream width over upstream width, `m_l = round(ratio · n_l)` (Fig. 2).
    pub ratio: f64,
    /// Upstream nonlinearity `φ`.
    pub activation: Activation,
    /// Downstream nonlinearity `φ̄`.
    pub downstream_activation: DownstreamActivation,
    /// The synapses that learn; the others keep their initial values (Fig. 4). `W_L` always learns.
    pub plastic: Vec<Synapse>,
    /// Whose activity is the target's own in `ΔV` and `ΔV̄`.
    pub hebbian_partner: HebbianPartner,
    /// Passes over the training examples.
    pub epochs: usize,
    /// Examples per minibatch; the last one of an epoch may be smaller.
    pub batch_size: usize,
    /// How the rates change over the steps.
    pub schedule: Schedule,
    /// Frobenius norm to which each `ΔX` is scaled down; 0 turns the clip off.
    pub clip_norm: f64,
    /// Standard deviation `s` of the initial lateral synapses, `V ~ N(0, s²/n_l)`, `V̄ ~ N(0, s²/m_l)`.
    pub init_scale_v: f64,
    /// Learning rates `η_X`.
    pub rates: PerSynapse,
    /// Decays `γ_X`.
    pub decay: PerSynapse,
    /// `μ`: with it, `M ← μ M + clip(ΔX) − γ X` and `X ← X + η M`. 0 by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub momentum: f64,
    /// Whether the upstream units have biases `b_l`, which learn as if `W_l` had a source that is always 1. Off by
    /// default; the downstream pathway never has any, so that without error it is silent.
    #[serde(skip_serializing_if = "is_off")]
    pub biases: bool,
    /// The trial ends as diverged when a weight tensor's Frobenius norm or the training loss exceeds this.
    pub divergence_bound: f64,
    /// When the diagnostics are logged.
    pub diagnostics: Diagnostics,
    /// When the spectra are logged, which cost as much as many steps; off by default.
    #[serde(skip_serializing_if = "Diagnostics::is_off")]
    pub spectra: Diagnostics,
}

impl Default for TrialConfig {
    fn default() -> Self {
        Self {
            dataset: "glyphs".to_owned(),
            train_limit: None,
            test_limit: None,
            validation: None,
            augment: Augment::default(),
            hidden: vec![200, 200, 200],
            rule: RuleName::Sal,
            feedback: Feedback::Motif,
            updates: Updates::default(),
            ratio: 2.0,
            activation: Activation::Relu,
            downstream_activation: DownstreamActivation::Linear,
            plastic: Synapse::ALL.to_vec(),
            hebbian_partner: HebbianPartner::Post,
            epochs: 8,
            batch_size: 64,
            schedule: Schedule::Cosine,
            clip_norm: 0.5,
            init_scale_v: 0.9,
            rates: PerSynapse { w: 0.3, w_bar: 0.13, v: 0.12, v_bar: 0.12 },
            decay: PerSynapse { w: 0.002, w_bar: 0.002, v: 0.002, v_bar: 0.002 },
            momentum: 0.0,
            biases: false,
            divergence_bound: 1e5,
            diagnostics: Diagnostics::Named(NamedCadence::Epoch),
            spectra: Diagnostics::Named(NamedCadence::Off),
        }
    }
}

impl TrialConfig {
    /// Accuracy and loss of the examples that are measured on, then those of the training examples: what each trial
    /// of this config has logged when it succeeds.
    #[must_use]
    pub const fn final_metrics(&self) -> [&'static str; 4] {
        match self.validation {
            Some(_) => ["validation_accuracy", "validation_loss", "train_accuracy", "train_loss"],
            None => ["test_accuracy", "test_loss", "train_accuracy", "train_loss"],
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_off(value: &bool) -> bool {
    !value
}

/// A learning rule, by its name in a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    /// Self-assembling learning: the four-synapse motif (the paper).
    Sal,
    /// Exact backpropagation with SGD.
    Bp,
    /// Backpropagation in a network without hidden nonlinearity (Fig. 4's "Linear").
    Linear,
    /// Hidden layers frozen at their initial values; only `W_L` learns.
    LastLayer,
    /// Feedback alignment: fixed random feedback, layer by layer.
    Fa,
    /// Direct feedback alignment: fixed random feedback from the output to each layer.
    Dfa,
    /// Kolen–Pollack: feedback that changes as `W` does and decays like it.
    Kp,
    /// Feedback of uniform magnitude with the signs of `W`.
    SignSymmetry,
    /// The products listed in `updates`, over the circuit that `feedback` names.
    Custom,
}

impl RuleName {
    /// Every rule but `custom`.
    pub const BUILT_IN: [Self; 8] = [
        Self::Sal,
        Self::Bp,
        Self::Linear,
        Self::LastLayer,
        Self::Fa,
        Self::Dfa,
        Self::Kp,
        Self::SignSymmetry,
    ];
}

/// The circuit of a custom rule: what computes `g_l`, and so which synapses there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// As under `sal`: `g_l = φ'(a_l) ⊙ (V̄_l h̄_l)`; all four synapses.
    #[default]
    Motif,
    /// As under `fa` and `kp`: `g_l = φ'(a_l) ⊙ (W̄_l g_{l+1})`; `W` and `W̄_l : n_l × n_{l+1}`.
    Chained,
    /// As under `dfa`: `g_l = φ'(a_l) ⊙ (W̄_l e)`; `W` and `W̄_l : n_l × n_L`.
    Direct,
    /// As under `bp`: `g_l = φ'(a_l) ⊙ (W_{l+1}ᵀ g_{l+1})`; `W` alone.
    Transposed,
}

impl Feedback {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_motif(&self) -> bool {
        *self == Self::Motif
    }
}

/// What changes each synapse under a custom rule; a synapse without terms keeps its initial values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Updates {
    /// Of `W_l`: target at `l`, source at `l-1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub w: Vec<UpdateTerm>,
    /// Of `W̄_l`: target at `l`, source at `l+1`, or at `L` when the feedback is `direct`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub w_bar: Vec<UpdateTerm>,
    /// Of `V_l`: both at `l`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub v: Vec<UpdateTerm>,
    /// Of `V̄_l`: both at `l`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub v_bar: Vec<UpdateTerm>,
}

impl Updates {
    /// The terms of one synapse.
    #[must_use]
    pub fn of(&self, synapse: Synapse) -> &[UpdateTerm] {
        match synapse {
            Synapse::W => &self.w,
            Synapse::WBar => &self.w_bar,
            Synapse::V => &self.v,
            Synapse::VBar => &self.v_bar,
        }
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Synapse::ALL.into_iter().all(|synapse| self.of(synapse).is_empty())
    }
}

/// One summand of a synapse's change: `coefficient · ⟨target sourceᵀ⟩`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTerm {
    /// Its factor, 1 when absent.
    #[serde(default = "one")]
    pub coefficient: f64,
    /// A signal at the unit the synapse ends on.
    pub target: LocalSignal,
    /// A signal at the unit the synapse comes from.
    pub source: LocalSignal,
}

fn one() -> f64 {
    1.0
}

/// A signal that a synapse can see at one of its ends; a term is left out at layers where its signal does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocalSignal {
    /// `h_l`, at layers 0 (the input) to L-1.
    H,
    /// `a_l`, at layers 1 to L.
    A,
    /// `h̄_l`, at layers 1 to L, `h̄_L = e`.
    HBar,
    /// `ā_l`, at layers 1 to L-1.
    ABar,
    /// `u_l`, what the upstream pathway delivers to `h̄_l`, at layers 1 to L-1.
    U,
    /// `g_l`, what the feedback delivers to `h_l`, at layers 1 to L, `g_L = e`.
    G,
    /// The error `e`, at layer L alone.
    E,
}

impl LocalSignal {
    /// The ASCII name in configs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H => "h",
            Self::A => "a",
            Self::HBar => "h_bar",
            Self::ABar => "a_bar",
            Self::U => "u",
            Self::G => "g",
            Self::E => "e",
        }
    }
}

/// Upstream nonlinearity `φ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(a, 0)`.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// The identity.
    Linear,
}

/// Downstream nonlinearity `φ̄`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DownstreamActivation {
    /// The identity.
    Linear,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(ā, 0)`: diverges in every setting the authors of this engine tried (one-signed activity).
    Relu,
    /// Slope 0.01 below zero.
    LeakyRelu,
    /// `h̄ = [u > 0] ⊙ ā`; the gate multiplies `u` alike.
    Gated,
}

/// One of the motif's four synapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Synapse {
    /// Upstream `W_l : h_{l-1} → h_l`, shape `n_l × n_{l-1}`.
    W,
    /// Downstream `W̄_l : h̄_{l+1} → h̄_l`, shape `m_l × m_{l+1}`.
    WBar,
    /// Lateral `V_l : h_l → h̄_l`, shape `m_l × n_l`.
    V,
    /// Lateral `V̄_l : h̄_l → h_l`, shape `n_l × m_l`.
    VBar,
}

impl Synapse {
    /// All four, in the order used everywhere.
    pub const ALL: [Self; 4] = [Self::W, Self::WBar, Self::V, Self::VBar];

    /// The ASCII name in configs, metrics and snapshots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::W => "w",
            Self::WBar => "w_bar",
            Self::V => "v",
            Self::VBar => "v_bar",
        }
    }
}

/// Whose activity is the target's own in the lateral synapses' updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HebbianPartner {
    /// After the nonlinearity: `h`, `h̄`.
    Post,
    /// Before it: `a`, `ā`.
    Pre,
}

/// How the rates change over the steps; `t` counts from 0 to `T - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// `η(t) = η`.
    Constant,
    /// `η(t) = η · ½ (1 + cos(π t / T))`.
    Cosine,
}

/// One number per synapse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerSynapse {
    /// For `W`.
    pub w: f64,
    /// For `W̄`.
    pub w_bar: f64,
    /// For `V`.
    pub v: f64,
    /// For `V̄`.
    pub v_bar: f64,
}

impl PerSynapse {
    /// The number for one synapse.
    #[must_use]
    pub const fn of(&self, synapse: Synapse) -> f64 {
        match synapse {
            Synapse::W => self.w,
            Synapse::WBar => self.w_bar,
            Synapse::V => self.v,
            Synapse::VBar => self.v_bar,
        }
    }
}

/// When diagnostics are logged: `"off"`, `"ends"`, `"epoch"` or `{ every_steps = n }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Diagnostics {
    /// By name.
    Named(NamedCadence),
    /// Each `every_steps` minibatches.
    Steps(StepCadence),
}

impl Diagnostics {
    /// Whether it is never.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::Named(NamedCadence::Off)
    }
}

/// A cadence with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedCadence {
    /// Never; only the ends of the epochs are logged then, not the state before training.
    Off,
    /// Before training and after its last minibatch.
    Ends,
    /// Before training and at the end of each epoch.
    Epoch,
}

/// A cadence in minibatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepCadence {
    /// Minibatches between two logged points, at least 1.
    pub every_steps: usize,
}

using Tern.Numerics;
using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>All fields of a run's configuration, in the order of the help text.</summary>
internal static class RunFields
{
    private const int DimensionMax = 1 << 16;
    private const int StepsMax = 100_000_000;

    private static readonly string[] s_precisions = ["ternary", "binary", "full", "int2", "int3", "int4", "int5", "int6", "int7", "int8"];

    private static readonly string[] s_encodable = [.. TensorType.All.Where(type => type.CanEncode).Select(type => LowerCase(type.Name))];

    /// <summary>The table.</summary>
    public static IReadOnlyList<RunField> All { get; } =
    [
        RunField.Texts("data", "PATH", "Text to train on: .txt, .md and .jsonl files, or folders of them.", (s, v) => s with { Data = v }),
        RunField.Text("separator", "file|blank|blank:N|LINE", "Where documents of text files end: at the end of the file, at a blank line, at N blank lines, or at a line that reads LINE.", (s, v) => s with { Separator = DocumentSeparator.Parse(v) }),
        RunField.Texts("heldOut", "PATH", "Files that are only measured.", (s, v) => s with { HeldOutFiles = v }),
        RunField.Texts("heldOutNames", "NAME", "Documents of the training text that are only measured, such as tales.txt#3.", (s, v) => s with { HeldOutNames = v }),
        RunField.Number("heldOutShare", 0, 0.5, "Share of the text that is only measured, whole documents drawn by the seed, when none are named.", (s, v) => s with { HeldOutShare = v }),
        RunField.Text("tokenizer", "PATH", "Whose tokenizer is used: a model file, such as 'tern train-tokenizer' writes, a tokenizer.json, or a Hugging Face folder.", (s, v) => s with { Tokenizer = v }),
        RunField.Text("chatTemplate", "FILE", "A chat template, instead of the tokenizer's own.", (s, v) => s with { ChatTemplate = v }),

        RunField.Choice("size", [.. SizePreset.All.Select(preset => preset.Name)], "Dimensions of the model, about so many weights.", (s, v) => s with { Size = v }),
        RunField.Integer("layers", 1, 256, "Blocks.", (s, v) => s with { Layers = v }),
        RunField.Integer("hidden", 16, DimensionMax, "Width of the model.", (s, v) => s with { Hidden = v }),
        RunField.Integer("heads", 1, DimensionMax, "Attention heads.", (s, v) => s with { Heads = v }),
        RunField.Integer("kvHeads", 1, DimensionMax, "Heads of keys and values.", (s, v) => s with { KvHeads = v }),
        RunField.Integer("headDim", 16, 512, "Dimensions of a head.", (s, v) => s with { HeadDim = v }),
        RunField.Integer("feedForward", 16, DimensionMax, "Width inside the feed-forward block.", (s, v) => s with { FeedForward = v }),
        RunField.Integer("context", 2, DimensionMax, "Tokens of a sequence.", (s, v) => s with { Context = v }),
        RunField.Number("ropeBase", 2, 1e9, "Base of the rotary embedding.", (s, v) => s with { RopeBase = (float)v }),
        RunField.Number("epsilon", 1e-12, 0.1, "Epsilon of the norms.", (s, v) => s with { Epsilon = (float)v }),
        RunField.Choice("activation", ["relu2", "silu"], "What stands between gate and up projection.", (s, v) => s with { Activation = v == "silu" ? FeedForwardActivation.Silu : FeedForwardActivation.SquaredRelu }),
        RunField.Boolean("subNorms", "Norms in front of the output and down projections, as BitNet b1.58 2B-4T has; with --from, true inserts them where the model has none.", (s, v) => s with { SubNorms = v }),
        RunField.Boolean("tiedHead", "The embedding is the output matrix too.", (s, v) => s with { TiedHead = v }),
        RunField.Text("from", "MODEL", "Start from this model's weights, with its shape and tokenizer: a GGUF file or a folder of safetensors.", (s, v) => s with { From = v }),

        RunField.Choice("precision", s_precisions, "What the linear layers compute with while they learn.", (s, v) => s with { Recipe = s.Recipe with { Linear = PrecisionOf(v) } }),
        RunField.Integer("steps", 1, StepsMax, "Optimizer steps; a run that goes on may get more or fewer.", (s, v) => s with { Steps = v, Hours = 0 }).Changeable(),
        RunField.Number("hours", 0.001, 100_000, "Instead of steps: how long the run may take at the speed measured when it starts.", (s, v) => s with { Hours = v, Steps = 0 }),
        RunField.Integer("batch", 1, DimensionMax, "Sequences of an optimizer step.", (s, v) => s with { Batch = v }),
        RunField.Integer("microBatch", 1, DimensionMax, "Sequences computed at a time; fewer need less memory.", (s, v) => s with { MicroBatch = v }),
        RunField.Number("learningRate", 1e-8, 1, "First peak of the learning rate.", (s, v) => s with { LearningRate = (float)v }),
        RunField.Number("secondLearningRate", 1e-8, 1, "Second peak, in the middle of the run; two thirds of the first unless told.", (s, v) => s with { SecondLearningRate = (float)v }),
        RunField.Number("finalLearningRate", 0, 1, "Where the schedule cosine ends.", (s, v) => s with { Recipe = s.Recipe with { FinalLearningRate = (float)v } }),
        RunField.Choice("schedule", ["two-stage", "cosine", "constant"], "How the learning rate goes.", (s, v) => s with { Recipe = s.Recipe with { Schedule = ScheduleOf(v) } }),
        RunField.Integer("warmUpSteps", 0, StepsMax, "Steps over which the learning rate rises.", (s, v) => s with { Recipe = s.Recipe with { WarmUpSteps = v } }),
        RunField.Integer("quantizationWarmUpSteps", 0, StepsMax, "Steps over which quantization is blended in, for a model that starts from full precision.", (s, v) => s with { Recipe = s.Recipe with { QuantizationWarmUpSteps = v } }),
        RunField.Number("weightDecay", 0, 10, "Decoupled weight decay of the linear layers.", (s, v) => s with { Recipe = s.Recipe with { WeightDecay = (float)v } }),
        RunField.Boolean("decayEmbedding", "Whether the embedding decays too.", (s, v) => s with { Recipe = s.Recipe with { DecayEmbedding = v } }),
        RunField.Number("clipNorm", 0, 1e6, "Largest norm of the gradient; 0 is no limit.", (s, v) => s with { Recipe = s.Recipe with { ClipNorm = (float)v } }),
        RunField.Choice("optimizer", ["adamw", "muon"], "How the matrices of the blocks learn; embedding and norms always do by AdamW.", (s, v) => s with { Recipe = s.Recipe with { Rule = v == "muon" ? OptimizerRule.Muon : OptimizerRule.AdamW } }),
        RunField.Number("momentum", 0, 0.9999, "Muon's decay of the momentum.", (s, v) => s with { Recipe = s.Recipe with { Momentum = (float)v } }),
        RunField.Number("beta1", 0, 0.9999, "AdamW's decay of the first moment.", (s, v) => s with { Recipe = s.Recipe with { Beta1 = (float)v } }),
        RunField.Number("beta2", 0, 0.99999, "AdamW's decay of the second moment.", (s, v) => s with { Recipe = s.Recipe with { Beta2 = (float)v } }),
        RunField.Number("averageDecay", 0, 0.999999, "Decay per step of a moving average of the weights, which is exported instead of the last ones; 0 keeps none.", (s, v) => s with { Recipe = s.Recipe with { AverageDecay = (float)v } }),
        RunField.Choice("masters", ["f32", "bf16"], "How the weights behind the quantized ones are kept.", (s, v) => s with { Recipe = s.Recipe with { Masters = v == "bf16" ? MasterWeights.BFloat16 : MasterWeights.Float32 } }),
        RunField.Number("initialDeviation", 1e-6, 1, "Standard deviation of fresh weights.", (s, v) => s with { Recipe = s.Recipe with { InitialDeviation = (float)v } }),
        RunField.Integer("seed", 0, int.MaxValue, "The same seed gives the same run.", (s, v) => s with { Seed = (ulong)v }),

        RunField.Text("teacher", "MODEL", "A full-precision model with the same vocabulary to learn from: a GGUF file, a folder of safetensors, or a checkpoint.", (s, v) => s with { Teacher = v }),
        RunField.Number("crossEntropyWeight", 0, 1e6, "How much the text counts beside the teacher.", (s, v) => s with { Distillation = s.Distillation with { CrossEntropyWeight = (float)v } }),
        RunField.Number("logitWeight", 0, 1e6, "How much the teacher's distribution counts.", (s, v) => s with { Distillation = s.Distillation with { LogitWeight = (float)v } }),
        RunField.Number("temperature", 0.01, 100, "Temperature of both distributions.", (s, v) => s with { Distillation = s.Distillation with { Temperature = (float)v } }),
        RunField.Number("attentionWeight", 0, 1e9, "How much the teacher's attention relations count; 0 leaves them out.", (s, v) => s with { Distillation = s.Distillation with { AttentionWeight = (float)v } }),
        RunField.Integer("attentionLayer", -256, 255, "The layer whose attention is compared; negative counts from the end.", (s, v) => s with { Distillation = s.Distillation with { AttentionLayer = v } }),
        RunField.Integer("relationHeads", 0, 4096, "Parts into which queries, keys and values are cut to be compared; 0 is one per key head.", (s, v) => s with { Distillation = s.Distillation with { RelationHeads = v } }),
        RunField.Choice("attentionRelation", ["cosine", "dot"], "What relates two positions: the cosine of their vectors, or their product by the root of the width.", (s, v) => s with { Distillation = s.Distillation with { AttentionRelation = v == "dot" ? AttentionRelation.Dot : AttentionRelation.Cosine } }),
        RunField.Boolean("balanceGradients", "Whether attentionWeight is a ratio of gradient norms rather than a plain factor.", (s, v) => s with { Distillation = s.Distillation with { BalanceGradients = v } }),

        RunField.Text("out", "FOLDER", "The run folder: checkpoints, log, curves, report, model. A run that is there is continued.", (s, v) => s with { Out = v }).Changeable(),
        RunField.Integer("keep", 1, 10_000, "Checkpoints that stay.", (s, v) => s with { Keep = v }).Changeable(),
        RunField.Integer("checkpointEvery", 1, StepsMax, "Steps between checkpoints; a twentieth of the run unless told.", (s, v) => s with { CheckpointEvery = v }).Changeable(),
        RunField.Integer("evaluateEvery", 1, StepsMax, "Steps between measurements of held-out text; a fortieth of the run unless told.", (s, v) => s with { EvaluateEvery = v }).Changeable(),
        RunField.Integer("evaluateSequences", 1, 1_000_000, "Held-out sequences that are measured on the way; all are at the end.", (s, v) => s with { EvaluateSequences = v }).Changeable(),
        RunField.Text("prompt", "TEXT", "What samples of text begin with.", (s, v) => s with { Prompt = v }).Changeable(),
        RunField.Integer("sampleTokens", 0, 4096, "Tokens of a sample; 0 writes none.", (s, v) => s with { SampleTokens = v }).Changeable(),
        RunField.Integer("threads", 0, 1024, "Worker threads; 0 is one per core. Weights do not depend on it.", (s, v) => s with { Threads = v }).Changeable(),
        RunField.Choice("export", ["none", .. s_encodable], "Tensor type of the linear layers in the model file that is written at the end.", (s, v) => s with { Export = v }).Changeable(),
        RunField.Choice("exportEmbeddings", s_encodable, "Tensor type of the embeddings in it.", (s, v) => s with { ExportEmbeddings = v }).Changeable(),
        RunField.Boolean("exportHuggingface", "Whether the model is written as a Hugging Face checkpoint too, into the folder huggingface.", (s, v) => s with { ExportHuggingface = v }).Changeable(),
        RunField.Text("name", "TEXT", "Name of the model in its file.", (s, v) => s with { Name = v }).Changeable(),
    ];

    /// <summary>The field of a name, or null.</summary>
    public static RunField? Find(string name) => All.FirstOrDefault(field => field.Name == name);

    /// <summary>A type of the exported file by its name in lower case.</summary>
    public static TensorType TypeOf(string name) => TensorType.All.First(type => type.CanEncode && LowerCase(type.Name) == name);

    private static Quantizer PrecisionOf(string name) => name switch
    {
        "ternary" => new Quantizer { Precision = LinearPrecision.Ternary },
        "binary" => new Quantizer { Precision = LinearPrecision.Binary },
        "full" => new Quantizer { Precision = LinearPrecision.Full },
        _ => new Quantizer { Precision = LinearPrecision.Integer, Bits = name[^1] - '0' },
    };

    private static LearningSchedule ScheduleOf(string name) => name switch
    {
        "cosine" => LearningSchedule.Cosine,
        "constant" => LearningSchedule.Constant,
        _ => LearningSchedule.TwoStage,
    };

#pragma warning disable CA1308 // names of types are written in lower case on command lines
    private static string LowerCase(string name) => name.ToLowerInvariant();
#pragma warning restore CA1308
}

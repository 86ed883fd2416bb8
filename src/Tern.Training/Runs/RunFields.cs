using Tern.Numerics;
using Tern.Training.Data;

namespace Tern.Training.Runs;

/// <summary>All fields of a run's configuration, in the order of the help text.</summary>
internal static class RunFields
{
    private const int DimensionMax = 1 << 16;
    private const int StepsMax = 100_000_000;

    private const string OfTheModel = "the model has its own";

    private static readonly string[] s_precisions = ["ternary", "binary", "full", "int2", "int3", "int4", "int5", "int6", "int7", "int8"];

    private static readonly string[] s_encodable = [.. TensorType.All.Where(type => type.CanEncode).Select(type => LowerCase(type.Name))];

    /// <summary>The table.</summary>
    public static IReadOnlyList<RunField> All { get; } =
    [
        RunField.Texts("data", "PATH", "Text to train on: .txt, .md and .jsonl files, or folders of them.", (s, v) => s with { Data = v }),
        RunField.Text("separator", "file|blank|blank:N|LINE", "Where documents of text files end: at the end of the file, at a blank line, at N blank lines, or at a line that reads LINE.", (s, v) => s with { Separator = DocumentSeparator.Parse(v) }).Otherwise(_ => "file"),
        RunField.Texts("heldOut", "PATH", "Files that are only measured, also where a folder of --data has them.", (s, v) => s with { HeldOutFiles = v }),
        RunField.Texts("heldOutNames", "NAME", "Documents of the training text that are only measured, such as tales.txt#3.", (s, v) => s with { HeldOutNames = v }),
        RunField.Number("heldOutShare", 0, 0.5, "Share of the text that is only measured, whole documents drawn by the seed, when none are named.", (s, v) => s with { HeldOutShare = v }).Otherwise(s => s.HeldOutShare),
        RunField.Text("tokenizer", "PATH", "Whose tokenizer is used: a model file, such as 'tern train-tokenizer' writes, a tokenizer.json, or a Hugging Face folder; that of --from unless told.", (s, v) => s with { Tokenizer = v }),
        RunField.Text("chatTemplate", "FILE", "A chat template, instead of the tokenizer's own.", (s, v) => s with { ChatTemplate = v }),

        RunField.Choice("size", [.. SizePreset.All.Select(preset => preset.Name)], "Dimensions of the model, about so many weights.", (s, v) => s with { Size = v }).Not("from", OfTheModel),
        RunField.Integer("layers", 1, 256, "Blocks; those of --size unless told.", (s, v) => s with { Layers = v }).Not("from", OfTheModel),
        RunField.Integer("hidden", 16, DimensionMax, "Width of the model; that of --size unless told.", (s, v) => s with { Hidden = v }).Not("from", OfTheModel),
        RunField.Integer("heads", 1, DimensionMax, "Attention heads; those of --size unless told.", (s, v) => s with { Heads = v }).Not("from", OfTheModel),
        RunField.Integer("kvHeads", 1, DimensionMax, "Heads of keys and values; as many as --heads unless told.", (s, v) => s with { KvHeads = v }).Not("from", OfTheModel),
        RunField.Integer("headDim", 16, 512, "Dimensions of a head; the width by the heads unless told.", (s, v) => s with { HeadDim = v }).Not("from", OfTheModel),
        RunField.Integer("feedForward", 16, DimensionMax, "Width inside the feed-forward block; that of --size unless told.", (s, v) => s with { FeedForward = v }).Not("from", OfTheModel),
        RunField.Integer("context", 2, DimensionMax, "Tokens of a sequence.", (s, v) => s with { Context = v }).Otherwise(s => s.Context),
        RunField.Number("ropeBase", 2, 1e9, "Base of the rotary embedding.", (s, v) => s with { RopeBase = (float)v }).Otherwise(s => s.RopeBase).Not("from", OfTheModel),
        RunField.Number("epsilon", 1e-12, 0.1, "Epsilon of the norms.", (s, v) => s with { Epsilon = (float)v }).Otherwise(s => s.Epsilon).Not("from", OfTheModel),
        RunField.Choice("activation", ["relu2", "silu"], "What stands between gate and up projection.", (s, v) => s with { Activation = v == "silu" ? FeedForwardActivation.Silu : FeedForwardActivation.SquaredRelu }).Not("from", OfTheModel),
        RunField.Boolean("subNorms", "Norms in front of the output and down projections, as BitNet b1.58 2B-4T has; a new model has them unless told; with --from, true inserts them where the model has none.", (s, v) => s with { SubNorms = v }),
        RunField.Boolean("tiedHead", "The embedding is the output matrix too.", (s, v) => s with { TiedHead = v }).Not("from", OfTheModel),
        RunField.Text("from", "MODEL", "Start from this model's weights, with its shape and tokenizer: a GGUF file or a folder of safetensors.", (s, v) => s with { From = v }),

        RunField.Choice("precision", s_precisions, "What the linear layers compute with while they learn.", (s, v) => s with { Recipe = s.Recipe with { Linear = PrecisionOf(v) } }).NotInComparison("it trains in all of its own"),
        RunField.Integer("steps", 1, StepsMax, "Optimizer steps, 1000 unless told; a run that goes on may get more or fewer.", (s, v) => s with { Steps = v }).Changeable(),
        RunField.Number("hours", 0.001, 100_000, "Instead of steps: how long the run may take at the speed measured when it starts.", (s, v) => s with { Hours = v }),
        RunField.Integer("batch", 1, DimensionMax, "Sequences of an optimizer step.", (s, v) => s with { Batch = v }).Otherwise(s => s.Batch),
        RunField.Integer("microBatch", 1, DimensionMax, "Sequences computed at a time; fewer need less memory; all of them unless told.", (s, v) => s with { MicroBatch = v }),
        RunField.Number("learningRate", 1e-8, 1, "First peak of the learning rate; unless told that of --size, or 0.02 with --optimizer muon, and a tenth of it with --from. A run that goes on may get another.", (s, v) => s with { LearningRate = (float)v }).ChangeableAlone(),
        RunField.Number("secondLearningRate", 1e-8, 1, "Learning rate in the middle of the run, where its second stage begins; two thirds of the first peak unless told. A run that goes on may get another.", (s, v) => s with { SecondLearningRate = (float)v }).ChangeableAlone().Needs("schedule", "two-stage"),
        RunField.Number("finalLearningRate", 0, 1, "Where the schedule cosine ends.", (s, v) => s with { Recipe = s.Recipe with { FinalLearningRate = (float)v } }).Otherwise(s => s.Recipe.FinalLearningRate).Needs("schedule", "cosine"),
        RunField.Choice("schedule", ["two-stage", "cosine", "constant"], "How the learning rate goes.", (s, v) => s with { Recipe = s.Recipe with { Schedule = ScheduleOf(v) } }),
        RunField.Integer("warmUpSteps", 0, StepsMax, "Steps over which the learning rate rises; no more than a tenth of the run.", (s, v) => s with { Recipe = s.Recipe with { WarmUpSteps = v } }).Otherwise(s => s.Recipe.WarmUpSteps),
        RunField.Integer("quantizationWarmUpSteps", 0, StepsMax, "Steps over which quantization is blended in, for a model that starts from full precision.", (s, v) => s with { Recipe = s.Recipe with { QuantizationWarmUpSteps = v } }).Otherwise(s => s.Recipe.QuantizationWarmUpSteps),
        RunField.Number("weightDecay", 0, 10, "Decoupled weight decay of the linear layers.", (s, v) => s with { Recipe = s.Recipe with { WeightDecay = (float)v } }).Otherwise(s => s.Recipe.WeightDecay),
        RunField.Boolean("decayEmbedding", "Whether the embedding decays too.", (s, v) => s with { Recipe = s.Recipe with { DecayEmbedding = v } }),
        RunField.Number("clipNorm", 0, 1e6, "Largest norm of the gradient; 0 is no limit.", (s, v) => s with { Recipe = s.Recipe with { ClipNorm = (float)v } }).Otherwise(s => s.Recipe.ClipNorm),
        RunField.Choice("optimizer", ["adamw", "muon"], "How the matrices of the blocks learn; embedding and norms always do by AdamW.", (s, v) => s with { Recipe = s.Recipe with { Rule = v == "muon" ? OptimizerRule.Muon : OptimizerRule.AdamW } }),
        RunField.Number("momentum", 0, 0.9999, "Muon's decay of the momentum.", (s, v) => s with { Recipe = s.Recipe with { Momentum = (float)v } }).Otherwise(s => s.Recipe.Momentum).Needs("optimizer", "muon"),
        RunField.Number("beta1", 0, 0.9999, "AdamW's decay of the first moment.", (s, v) => s with { Recipe = s.Recipe with { Beta1 = (float)v } }).Otherwise(s => s.Recipe.Beta1),
        RunField.Number("beta2", 0, 0.99999, "AdamW's decay of the second moment.", (s, v) => s with { Recipe = s.Recipe with { Beta2 = (float)v } }).Otherwise(s => s.Recipe.Beta2),
        RunField.Number("averageDecay", 0, 0.999999, "Decay per step of a moving average of the weights, which is exported instead of the last ones; 0 keeps none.", (s, v) => s with { Recipe = s.Recipe with { AverageDecay = (float)v } }).Otherwise(s => s.Recipe.AverageDecay),
        RunField.Choice("masters", ["f32", "bf16"], "How the weights behind the quantized ones are kept.", (s, v) => s with { Recipe = s.Recipe with { Masters = v == "bf16" ? MasterWeights.BFloat16 : MasterWeights.Float32 } }),
        RunField.Number("initialDeviation", 1e-6, 1, "Standard deviation of fresh weights.", (s, v) => s with { Recipe = s.Recipe with { InitialDeviation = (float)v } }).Otherwise(s => s.Recipe.InitialDeviation).Not("from", OfTheModel),
        RunField.Integer("seed", 0, int.MaxValue, "The same seed gives the same run.", (s, v) => s with { Seed = (ulong)v }).Otherwise(s => s.Seed),

        RunField.Text("teacher", "MODEL", "A full-precision model with the same vocabulary to learn from: a GGUF file, a folder of safetensors, or a checkpoint.", (s, v) => s with { Teacher = v }).NotInComparison("it teaches with its own model in full precision"),
        RunField.Number("crossEntropyWeight", 0, 1e6, "How much the text counts beside the teacher.", (s, v) => s with { Distillation = s.Distillation with { CrossEntropyWeight = (float)v } }).Otherwise(s => s.Distillation.CrossEntropyWeight).NeedsTeacher(),
        RunField.Number("logitWeight", 0, 1e6, "How much the teacher's distribution counts.", (s, v) => s with { Distillation = s.Distillation with { LogitWeight = (float)v } }).Otherwise(s => s.Distillation.LogitWeight).NeedsTeacher(),
        RunField.Number("temperature", 0.01, 100, "Temperature of both distributions.", (s, v) => s with { Distillation = s.Distillation with { Temperature = (float)v } }).Otherwise(s => s.Distillation.Temperature).NeedsTeacher(),
        RunField.Number("attentionWeight", 0, 1e9, "How much the teacher's attention relations count; 0 leaves them out.", (s, v) => s with { Distillation = s.Distillation with { AttentionWeight = (float)v } }).Otherwise(s => s.Distillation.AttentionWeight).NeedsTeacher(),
        RunField.Integer("attentionLayer", -256, 255, "The layer whose attention is compared; negative counts from the end.", (s, v) => s with { Distillation = s.Distillation with { AttentionLayer = v } }).Otherwise(s => s.Distillation.AttentionLayer).NeedsTeacher(),
        RunField.Integer("relationHeads", 0, 4096, "Parts into which queries, keys and values are cut to be compared; 0 is one per key head.", (s, v) => s with { Distillation = s.Distillation with { RelationHeads = v } }).Otherwise(s => s.Distillation.RelationHeads).NeedsTeacher(),
        RunField.Choice("attentionRelation", ["cosine", "dot"], "What relates two positions: the cosine of their vectors, or their product by the root of the width.", (s, v) => s with { Distillation = s.Distillation with { AttentionRelation = v == "dot" ? AttentionRelation.Dot : AttentionRelation.Cosine } }).NeedsTeacher(),
        RunField.Boolean("balanceGradients", "Whether attentionWeight is a ratio of gradient norms rather than a plain factor.", (s, v) => s with { Distillation = s.Distillation with { BalanceGradients = v } }).NeedsTeacher(),

        RunField.Text("out", "FOLDER", "The run folder: checkpoints, log, curves, report, model. A run that is there is continued.", (s, v) => v.Trim().Length > 0 ? s with { Out = v } : throw new FormatException("the name of a folder")).Changeable(),
        RunField.Integer("keep", 1, 10_000, "Checkpoints that stay.", (s, v) => s with { Keep = v }).Changeable().Otherwise(s => s.Keep),
        RunField.Integer("checkpointEvery", 1, StepsMax, "Steps between checkpoints; a twentieth of the run unless told.", (s, v) => s with { CheckpointEvery = v }).Changeable(),
        RunField.Integer("evaluateEvery", 1, StepsMax, "Steps between measurements of held-out text; a fortieth of the run unless told.", (s, v) => s with { EvaluateEvery = v }).Changeable(),
        RunField.Integer("evaluateSequences", 1, 1_000_000, "Held-out sequences that are measured on the way; all are at the end.", (s, v) => s with { EvaluateSequences = v }).Changeable().Otherwise(s => s.EvaluateSequences),
        RunField.Text("prompt", "TEXT", "What samples of text begin with.", (s, v) => s with { Prompt = v }).Changeable().Otherwise(s => s.Prompt),
        RunField.Integer("sampleTokens", 0, 4096, "Tokens of a sample; 0 writes none.", (s, v) => s with { SampleTokens = v }).Changeable().Otherwise(s => s.SampleTokens),
        RunField.Integer("threads", 0, 1024, "Worker threads; 0 is one per core. Weights do not depend on it.", (s, v) => s with { Threads = v }).Changeable().Otherwise(s => s.Threads),
        RunField.Choice("export", ["none", .. s_encodable], "Tensor type of the linear layers in the model file that is written at the end; the densest that fits the precision unless told, and none writes no file.", (s, v) => s with { Export = v }).Changeable().NotInComparison("each of its models is written as it was trained", except: "none"),
        RunField.Choice("exportEmbeddings", s_encodable, "Tensor type of the embeddings in it.", (s, v) => s with { ExportEmbeddings = v }).Changeable(),
        RunField.Boolean("exportHuggingface", "Whether the model is written as a Hugging Face checkpoint too, into the folder huggingface.", (s, v) => s with { ExportHuggingface = v }).Changeable(),
        RunField.Text("name", "TEXT", "Name of the model in its file.", (s, v) => s with { Name = v }).Changeable().Otherwise(s => s.Name),
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

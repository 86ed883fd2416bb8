using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Conversion;
using Tern.Files;
using Tern.Kernels;
using Tern.Machine;
using Tern.Measure;
using Tern.Models;
using Tern.Numerics;

namespace Tern.Cli.Conversion;

/// <summary>What <c>quantize</c> and <c>convert</c> have in common: their options, the refusals before anything is written, the work, and its summary.</summary>
internal sealed class RecodingRun
{
    private const int PerplexityContext = 512;

    private readonly Option<string> _ptq = OptionOf.Choice("--ptq", ["refuse", "absmean", "twn"], "refuse", "How to make a model ternary that was not trained for it, which ruins it: one scale for the mean |w| of a tensor, or the ternary weight networks of 2016.");
    private readonly Option<string?> _text = OptionOf.Text("--text", "FILE", "Measure the perplexity of this text before and after; left out with --ptq: of a short English text.");
    private readonly Option<bool> _force = OptionOf.Flag("--force", "Replace the output if it is there.");
    private readonly Option<string?> _embeddings;
    private readonly Option<string?> _output;
    private readonly ModelOptionsBinding _model;
    private readonly Interrupt _interrupt;

    private RecodingRun(Command command, string embeddingsLeftOut, string outputLeftOut, Interrupt interrupt)
    {
        _interrupt = interrupt;
        _embeddings = TypeOption("--embeddings", $"Type of the token embeddings; left out: {embeddingsLeftOut}.");
        _output = TypeOption("--output-type", $"Type of a separate output matrix; left out: {outputLeftOut}.");
        command.Add(_embeddings);
        command.Add(_output);
        command.Add(_ptq);
        command.Add(_text);
        command.Add(_force);
        _model = ModelOptionsBinding.AddTo(command);
    }

    /// <summary>Names of the types that can be asked for.</summary>
    public static string[] TypeNames { get; } =
        [.. TensorType.All.Where(t => t.CanEncode && t != TensorType.Q2_0_G128).Select(t => t.Name.ToLowerInvariant())];

    /// <summary>Adds the options to a verb.</summary>
    public static RecodingRun AddTo(Command command, string embeddingsLeftOut, string outputLeftOut, Interrupt interrupt) =>
        new(command, embeddingsLeftOut, outputLeftOut, interrupt);

    /// <summary>A type by its name, or null.</summary>
    public static TensorType? TypeOf(string? name) =>
        name is null ? null : TensorType.All.First(t => t != TensorType.Q2_0_G128 && t.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    /// <summary>Whether an output that is there may be replaced.</summary>
    public bool Force(ParseResult result) => result.GetValue(_force);

    /// <summary>Whether any option asks for other types than the model has.</summary>
    public bool RecodesMore(ParseResult result) =>
        result.GetValue(_embeddings) is not null || result.GetValue(_output) is not null || result.GetValue(_text) is not null || result.GetValue(_ptq) != "refuse";

    public ModelOptions ModelOptions(ParseResult result) => _model.Options(result) with { CancellationToken = _interrupt.Token };

    /// <summary>Writes a model as a GGUF file.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="input">A model file or folder.</param>
    /// <param name="output">The file to write.</param>
    /// <param name="linears">Type of the linear layers; null: as they are.</param>
    /// <param name="embeddingsOtherwise">Type of the embeddings where no option says one; null: as they are.</param>
    public int Run(ParseResult result, string input, string output, TensorType? linears, TensorType? embeddingsOtherwise)
    {
        OutputPlace.CheckFile(output, Force(result));
        ModelOptions modelOptions = ModelOptions(result);
        int threads = modelOptions.Threads > 0 ? modelOptions.Threads : Cpu.ComputeThreads;
        TensorType? embeddings = TypeOf(result.GetValue(_embeddings)) ?? embeddingsOtherwise;
        var options = new ConversionOptions
        {
            Linears = linears,
            Embeddings = embeddings,
            Output = TypeOf(result.GetValue(_output)) ?? (embeddingsOtherwise is null ? null : embeddings),
            Ptq = result.GetValue(_ptq) switch { "absmean" => Ternarisation.AbsMean, "twn" => Ternarisation.Twn, _ => Ternarisation.Refuse },
            Threads = threads,
        };
        string? text = result.GetValue(_text) is { } file ? TextInput.ReadFile(file) : null;
        int context = PerplexityContext;
        PerplexityReport? before = text is null ? null : Perplexity(input, modelOptions, text, context, "before");
        var clock = Stopwatch.StartNew();
        using (ModelSource source = Model.Open(input, modelOptions))
        {
            Messages.Warnings(source.Warnings);
            ModelSpec spec = Model.ReadSpec(source, Messages.Warning);
            ConversionPlan plan = Work.Wait("looking at the weights", () => ConversionPlan.Of(source, options, _interrupt.Token));
            Metadata metadata = GgufConversion.MetadataOf(source, plan);
            Messages.Warnings(plan.Warnings);
            if (plan.Ternarises && text is null && !spec.IsEmbedding)
            {
                (text, context) = (LayoutTrial.Text, LayoutTrial.Context);
                before = Perplexity(input, modelOptions, text, context, "before");
            }

            long predicted = GgufConversion.PredictBytes(plan, metadata);
            OutputPlace.CheckSpace(output, predicted);
            Console.Out.WriteLine($"{output}: will have about {Size(predicted)}");
            ConversionReport report = Transfer.Measure(
                $"writing {Path.GetFileName(output)}",
                plan.Tensors.Sum(t => t.Source.ByteCount),
                progress => GgufConversion.Write(source, plan, metadata, output, progress, _interrupt.Token));
            double seconds = clock.Elapsed.TotalSeconds;
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{output}: {plan.MainType.Name}, {Size(report.Bytes)} from {Size(report.SourceBytes)} in {seconds:0.0} s ({report.SourceBytes / 1e6 / seconds:0} MB/s)"));
            foreach (string note in report.Notes)
                Console.Out.WriteLine(note);
        }

        if (before is not null)
        {
            PerplexityReport after = Perplexity(output, modelOptions with { I2sLayout = I2sLayout.Canonical }, text!, context, "after");
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"perplexity {before.Value:0.0000} ± {before.StandardError:0.0000} before, {after.Value:0.0000} ± {after.StandardError:0.0000} after (x {after.Value / before.Value:0.00})"));
        }

        return ExitCode.Success;
    }

    private PerplexityReport Perplexity(string path, ModelOptions options, string text, int context, string when)
    {
        using Model model = LoadedModel.Load(path, options, _interrupt.Token);
        return Work.Measure($"perplexity {when}", progress => Tern.Measure.Perplexity.Measure(model, text, Math.Min(context, model.Spec.ContextLength), KvType.F32, progress, _interrupt.Token));
    }

    /// <summary>Bytes for people.</summary>
    public static string Size(long bytes) =>
        bytes >= 1e9 ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.00} GB") : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.00} MB");

    private static Option<string?> TypeOption(string name, string description)
    {
        Option<string?> option = OptionOf.Text(name, string.Join('|', TypeNames), description);
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !TypeNames.Contains(token.Value, StringComparer.OrdinalIgnoreCase))
                result.AddError($"'{token.Value}' is not a value of {name}: it takes {string.Join(", ", TypeNames[..^1])} or {TypeNames[^1]}");
        });
        return option;
    }
}

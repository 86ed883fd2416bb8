using System.CommandLine;
using Tern.Kernels;
using Tern.Models;
using Tern.Models.Checkpoints;

namespace Tern.Cli.Options;

/// <summary>The options of every verb that loads a model.</summary>
internal sealed class ModelOptionsBinding
{
    private const int ThreadsMax = 1024;

    private readonly Option<int> _threads = OptionOf.Integer("--threads", 0, ThreadsMax, 0, "Worker threads; 0 is one per core that the process may use.", "-t");
    private readonly Option<string?> _kernel = OptionOf.Text("--kernel", "NAME", "Kernel family or row, such as scalar, avx2 or a name that 'tern bench kernels' prints; left out: the best for this processor.");
    private readonly Option<bool> _noTune = OptionOf.Flag("--no-tune", "Take kernels by the order of the table, without the short measurement at a model's first load.");
    private readonly Option<string> _layout = OptionOf.Choice("--i2s-layout", ["canonical", "arm", "4row"], "canonical", "How the bytes of I2_S tensors are arranged; no file says so itself.");
    private readonly Option<string> _scale = OptionOf.Choice("--weight-scale", ["config", "multiply", "divide"], "config", "What the scales of packed weights in a Hugging Face checkpoint do; config: what its config.json says.");
    private readonly Option<string?> _pre = OptionOf.Text("--pre", "NAME", "Pre-tokenizer to use instead of the one that the file names.");
    private readonly Option<string> _activations;
    private readonly Option<string> _head = OptionOf.Choice("--head", ["auto", "full", "screened"], "auto", "How the output matrix is computed: in full, in planes of 4 bits first, or what proves to be faster. The tokens are the same.");
    private readonly Option<int> _context = OptionOf.Integer("--context", 0, 1 << 24, 0, "Most tokens of prompt and answer together; 0 is what the verb or the model wants.", "-c");

    private readonly bool _withThreads;

    private ModelOptionsBinding(bool withThreads, string activations)
    {
        _withThreads = withThreads;
        _activations = OptionOf.Choice("--activations", ["int8", "f32"], activations, "Activations of block types such as Q8_0: int8 per 32 as their ecosystem does, or floats, the plain definition.");
    }

    /// <summary>Adds the options to a verb.</summary>
    /// <param name="command">The verb.</param>
    /// <param name="withThreads">False for a verb that has an option of its own for threads.</param>
    /// <param name="activations">The default of --activations.</param>
    public static ModelOptionsBinding AddTo(Command command, bool withThreads = true, string activations = "int8")
    {
        var binding = new ModelOptionsBinding(withThreads, activations);
        if (withThreads)
            command.Add(binding._threads);
        command.Add(binding._kernel);
        command.Add(binding._noTune);
        command.Add(binding._layout);
        command.Add(binding._scale);
        command.Add(binding._pre);
        command.Add(binding._activations);
        command.Add(binding._head);
        command.Add(binding._context);
        return binding;
    }

    /// <summary>The context length asked for; 0 when none was.</summary>
    public int Context(ParseResult result) => result.GetValue(_context);

    public I2sLayout Layout(ParseResult result) => result.GetValue(_layout) switch
    {
        "arm" => I2sLayout.Arm,
        "4row" => I2sLayout.FourRow,
        _ => I2sLayout.Canonical,
    };

    public WeightScale Scale(ParseResult result) => result.GetValue(_scale) switch
    {
        "multiply" => WeightScale.Multiply,
        "divide" => WeightScale.Divide,
        _ => WeightScale.Configured,
    };

    public string? PreTokenizer(ParseResult result) => result.GetValue(_pre);

    /// <summary>The kernels asked for.</summary>
    /// <exception cref="TernException">Unknown name, or one that this processor cannot run.</exception>
    public KernelChoice Kernels(ParseResult result) => KernelChoice.Parse(result.GetValue(_kernel));

    /// <summary>Everything for <see cref="Model.Load"/>.</summary>
    public ModelOptions Options(ParseResult result) => new()
    {
        Threads = _withThreads ? result.GetValue(_threads) : 0,
        Kernels = Kernels(result),
        I2sLayout = Layout(result),
        WeightScale = Scale(result),
        PreTokenizer = PreTokenizer(result),
        FloatActivations = result.GetValue(_activations) == "f32",
        Tune = !result.GetValue(_noTune),
        Head = result.GetValue(_head) switch
        {
            "full" => HeadMode.Full,
            "screened" => HeadMode.Screened,
            _ => HeadMode.Auto,
        },
    };

    /// <summary>What the front door takes besides <see cref="Options"/>: one person, one conversation.</summary>
    public LoadOptions FrontDoor(ParseResult result) => new() { ContextLength = Context(result), ParallelRequests = 1 };
}

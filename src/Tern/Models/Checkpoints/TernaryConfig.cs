using Tern.Files;

namespace Tern.Models.Checkpoints;

/// <summary>What <c>quantization_config</c> says of the linear layers.</summary>
internal sealed class TernaryConfig
{
    private const string Field = "quantization_config";

    private readonly string[] _kept;

    private TernaryConfig(bool isTernary, bool isOnline, bool divides, IEnumerable<string> kept)
    {
        (IsTernary, IsOnline, Divides) = (isTernary, isOnline, divides);
        _kept = [.. kept.Select(module => $".{module.Trim('.')}.")];
    }

    /// <summary>Whether linear layers are BitLinear, but for those that are kept.</summary>
    public bool IsTernary { get; }

    /// <summary>Whether float weights are what the configuration leads to expect of them.</summary>
    public bool IsOnline { get; }

    /// <summary>Whether <c>weight_scale</c> divides.</summary>
    public bool Divides { get; }

    /// <summary>Reads the object, if it is there.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="isAlwaysTernary">Linear layers are BitLinear without it.</param>
    /// <param name="scale">What the caller wants <c>weight_scale</c> to mean.</param>
    /// <exception cref="TernException">Another quantization than bitnet, or a variant that is not known.</exception>
    public static TernaryConfig Read(CheckpointConfig config, bool isAlwaysTernary, WeightScale scale)
    {
        if (config.Object(Field) is not { } fields)
            return new TernaryConfig(isAlwaysTernary, isAlwaysTernary, scale != WeightScale.Multiply, []);

        string method = fields.String("quant_method") ?? throw fields.Missing("quant_method");
        if (!method.Equals("bitnet", StringComparison.OrdinalIgnoreCase))
            throw fields.Unsupported("quant_method", $"{FileError.Quote(method)} is not supported", "known is bitnet; take a checkpoint that is not quantized, or a GGUF file of the same model");
        bool divides = (fields.String("linear_class") ?? "bitlinear") switch
        {
            "bitlinear" => true,
            "autobitlinear" => false,
            string other => throw fields.Unsupported("linear_class", $"{FileError.Quote(other)} is not supported", "known are bitlinear and autobitlinear"),
        };
        bool isOnline = (fields.String("quantization_mode") ?? "offline") switch
        {
            "offline" => false,
            "online" => true,
            string other => throw fields.Unsupported("quantization_mode", $"{FileError.Quote(other)} is not supported", "known are offline and online"),
        };
        if (fields.Boolean("use_rms_norm") == true && fields.Positive("rms_norm_eps") is { } epsilon && config.Positive("rms_norm_eps") is { } own && epsilon != own)
            throw fields.Unsupported("rms_norm_eps", $"is {epsilon}, another one than the model's {own}", "no known 1-bit model has two: take the checkpoint from another source");
        return new TernaryConfig(true, isOnline, scale == WeightScale.Configured ? divides : scale == WeightScale.Divide, fields.Strings("modules_to_not_convert") ?? []);
    }

    /// <summary>Whether a module is listed as one that stays as it is: by its whole name or by consecutive parts of it.</summary>
    /// <param name="module">Its name in the file, such as <c>model.layers.0.mlp.up_proj</c>.</param>
    public bool Keeps(string module) => !IsTernary || Array.Exists(_kept, kept => $".{module}.".Contains(kept, StringComparison.Ordinal));
}

using System.CommandLine;
using Tern.Kernels;

namespace Tern.Cli.Options;

/// <summary>How keys and values are kept.</summary>
internal static class KvOption
{
    private static readonly (string Name, KvType Type, KvPrecision Precision)[] s_all =
    [
        ("f32", KvType.F32, KvPrecision.F32),
        ("f16", KvType.F16, KvPrecision.F16),
        ("q8_0", KvType.Q8_0, KvPrecision.Q8_0),
        ("q4_0", KvType.Q4_0, KvPrecision.Q4_0),
    ];

    public static Option<string> Create(string otherwise) =>
        OptionOf.Choice("--kv", [.. s_all.Select(kv => kv.Name)], otherwise, "How keys and values of the context are kept: floats, or 8 or 4 bits with a scale per 32.");

    public static KvType Read(string? name) => s_all.First(kv => kv.Name == name).Type;

    /// <summary>The same for the front door.</summary>
    public static KvPrecision Precision(string? name) => s_all.First(kv => kv.Name == name).Precision;
}

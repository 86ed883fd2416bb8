using System.CommandLine;
using Tern.Kernels;

namespace Tern.Cli.Options;

/// <summary>How keys and values are kept.</summary>
internal static class KvOption
{
    public static Option<string> Create(string otherwise) =>
        OptionOf.Choice("--kv", ["f32", "f16"], otherwise, "How keys and values of the context are kept.");

    public static KvType Read(string? name) => name == "f16" ? KvType.F16 : KvType.F32;
}

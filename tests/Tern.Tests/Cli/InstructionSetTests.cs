using System.Text.Json;

namespace Tern.Tests.Cli;

/// <summary>Processors with fewer instruction sets give the same bits: each child process runs with one of them switched off, and says that it is.</summary>
public sealed class InstructionSetTests
{
    private const string Prompts = "[[256,79,1948,576,259,568,469,304,259,530,963,481,2019,295],[256,467,368]]";

    private static readonly string s_expected = Logits([]);

    /// <summary>The runtime's switch, and what must not be there any more.</summary>
    public static TheoryData<string, string[]> Switches => new()
    {
        { "DOTNET_EnableAVX512v2", ["Avx512Vbmi"] },
        { "DOTNET_EnableAVX512", ["Avx512", "Avx512Vbmi"] },
        { "DOTNET_EnableAVXVNNI", ["AvxVnni"] },
        { "DOTNET_EnableAVX2", ["Avx2", "AvxVnni", "Avx512", "Avx512Vbmi"] },
        { "DOTNET_EnableHWIntrinsic", ["Avx2", "AvxVnni", "Avx512", "Avx512Vbmi", "AdvSimd", "Dp"] },
    };

    [Theory]
    [MemberData(nameof(Switches))]
    public void With_an_instruction_set_off_logits_are_the_same_bits(string variable, string[] gone)
    {
        (string, string)[] off = [(variable, "0")];
        Assert.Empty(gone.Intersect(Available(off)));
        Assert.Equal(s_expected, Logits(off));
    }

    private static string Logits((string, string)[] variables) =>
        TernProcess.Run(System.Text.Encoding.UTF8.GetBytes(Prompts), ["logits", "--json", "--greedy", "12"], variables).AssertSucceeds().Output;

    private static IEnumerable<string> Available((string, string)[] variables)
    {
        using JsonDocument report = JsonDocument.Parse(TernProcess.Run([], ["inspect", "--json"], variables).AssertSucceeds().Output);
        return [.. report.RootElement.GetProperty("instructionSets").EnumerateArray().Select(e => e.GetString()!)];
    }
}

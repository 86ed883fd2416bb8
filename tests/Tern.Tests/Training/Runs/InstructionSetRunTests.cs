using Tern.Tests.Cli;

namespace Tern.Tests.Training.Runs;

/// <summary>Processors with fewer instruction sets learn the same bits: child processes run with some of them switched off.</summary>
public sealed class InstructionSetRunTests
{
    /// <summary>Optimizer, and the runtime's switches.</summary>
    public static TheoryData<string, string[]> Switches => new()
    {
        { "adamw", ["DOTNET_EnableAVX512"] },
        { "adamw", ["DOTNET_EnableAVXVNNI", "DOTNET_EnableAVX512"] },
        { "muon", ["DOTNET_EnableAVXVNNI", "DOTNET_EnableAVX512"] },
    };

    [Theory]
    [MemberData(nameof(Switches))]
    public void With_instruction_sets_off_a_run_ends_with_the_same_model(string optimizer, string[] off)
    {
        using var runs = new TinyRun();
        Assert.Equal(Model("all", []), Model("fewer", [.. off.Select(name => (name, "0"))]));

        byte[] Model(string run, (string, string)[] variables)
        {
            TernProcess.Run([], runs.Arguments(run, 3, "--optimizer", optimizer), variables).AssertSucceeds();
            return File.ReadAllBytes(runs.In(run, "model.gguf"));
        }
    }
}

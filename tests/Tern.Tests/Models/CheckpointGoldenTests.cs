using System.Text.Json;
using Tern.Files;
using Tern.Kernels;
using Tern.Measure;
using Tern.Models;
using Tern.Tests.Cli;
using Tern.Tests.Text;

namespace Tern.Tests.Models;

/// <summary>The golden Hugging Face folders: the bits of their GGUF twins, and the reference's numbers within its tolerances.</summary>
public sealed class CheckpointGoldenTests
{
    public static TheoryData<string, string> Twins => new()
    {
        { "m11a-hf-bitnet-packed-autobitlinear", "m01-bitnet-b158-i2s" },
        { "m11b-hf-bitnet-bf16-online", "m01-bitnet-b158-i2s" },
        { "m11c-hf-llama-packed-bitlinear-divide", "m04-llama-i2s-untied" },
    };

    [SharedTheory]
    [MemberData(nameof(Twins))]
    public void Logits_are_those_of_the_twin_and_of_the_reference(string folder, string twin)
    {
        using Model model = Model.Load(SharedData.File("goldens", folder), new ModelOptions { Threads = 2 });
        using Model other = Model.Load(Goldens.File(twin), new ModelOptions { Threads = 2 });
        foreach (JsonElement prompt in Expected(folder).GetProperty("prompts").EnumerateArray())
        {
            int[] ids = Integers(prompt.GetProperty("ids"));
            LogitReport actual = Probe(model, ids, 0);
            LogitReport same = Probe(other, ids, 0);
            Assert.Equal(same.Logits, actual.Logits);
            Assert.Equal(same.LogLikelihood, actual.LogLikelihood);

            bool strict = prompt.GetProperty("strict").GetBoolean();
            double worst = prompt.GetProperty("logits_last").EnumerateArray().Zip(actual.Logits, (e, a) => Math.Abs(e.GetDouble() - a)).Max();
            Assert.InRange(worst, 0, strict ? 2e-4 : 0.6);
            Assert.InRange(Math.Abs(actual.LogLikelihood - prompt.GetProperty("loglik").GetDouble()), 0, strict ? 1e-3 : 0.6);
        }
    }

    [SharedTheory]
    [MemberData(nameof(Twins))]
    public void Texts_become_the_ids_of_the_reference(string folder, string twin)
    {
        using ModelSource source = Model.Open(SharedData.File("goldens", folder), new ModelOptions());
        var tokenizer = Tern.Text.Tokenizer.From(source.Metadata, _ => { });
        foreach (JsonElement prompt in Expected(folder).GetProperty("prompts").EnumerateArray())
            Assert.Equal(Integers(prompt.GetProperty("ids")), tokenizer.Encode(prompt.GetProperty("text").GetString()!));
        Assert.Equal(VectorMetadata.Read(Goldens.File(twin)).String("tokenizer.ggml.model"), source.Metadata.String("tokenizer.ggml.model"));
    }

    /// <summary>Keys of the architecture are the twin's, one for one, with the same types.</summary>
    [SharedTheory]
    [MemberData(nameof(Twins))]
    public void Keys_are_those_of_the_twin(string folder, string twin)
    {
        using ModelSource source = Model.Open(SharedData.File("goldens", folder), new ModelOptions());
        using ModelSource other = Model.Open(Goldens.File(twin), new ModelOptions());
        string architecture = other.Metadata.String("general.architecture")!;
        Assert.Equal(Keys(other), Keys(source));
        Assert.Equal(other.Tensors.Keys.Order(StringComparer.Ordinal), source.Tensors.Keys.Order(StringComparer.Ordinal));
        foreach (Tern.Numerics.Tensor tensor in other.TensorsInOrder)
            Assert.Equal(tensor.Shape, source.Tensors[tensor.Name].Shape);

        string[] Keys(ModelSource of) =>
            [.. of.Metadata.Entries.Where(e => e.Key.StartsWith(architecture + ".", StringComparison.Ordinal)).Select(e => $"{e.Key} {e.Type} {e.Value}").Order(StringComparer.Ordinal)];
    }

    [SharedTheory]
    [MemberData(nameof(Twins))]
    public void The_program_continues_as_the_reference(string folder, string twin)
    {
        string path = SharedData.File("goldens", folder);
        JsonElement prompt = Expected(folder).GetProperty("prompts")[0];
        int stable = Math.Min(prompt.GetProperty("greedy_stable_prefix").GetInt32(), 8);
        using ModelSource source = Model.Open(path, new ModelOptions());
        var tokenizer = Tern.Text.Tokenizer.From(source.Metadata, _ => { });
        int[] greedy = Integers(prompt.GetProperty("greedy"));
        int stop = Array.FindIndex(greedy, tokenizer.StopIds.Contains);
        string expected = tokenizer.Decode([.. greedy.Take(stop >= 0 ? Math.Min(stop, stable) : stable)], special: false);
        string[] options = ["-p", prompt.GetProperty("text").GetString()!, "--raw", "--temp", "0", "-n", $"{stable}", "--kv", "f32", "--no-tune"];
        TernResult result = TernProcess.Run(["run", path, .. options]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains(expected.Trim(), result.Output, StringComparison.Ordinal);
        Assert.Equal(TernProcess.Run(["run", Goldens.File(twin), .. options]).Output, result.Output);
    }

    private static LogitReport Probe(Model model, int[] ids, int greedy)
    {
        using var probe = new LogitProbe(model, ids.Length + greedy, SequenceRunner.ChunkMax, KvType.F32);
        return probe.Run(ids, greedy, CancellationToken.None);
    }

    private static JsonElement Expected(string folder) => JsonDocument.Parse(File.ReadAllBytes(SharedData.File("goldens", folder, "expected.json"))).RootElement;

    private static int[] Integers(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];
}

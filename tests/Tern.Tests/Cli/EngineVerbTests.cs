using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Tern.Tests.Cli;

/// <summary>Verbs that read a model, on the one that ships with the program.</summary>
public sealed class EngineVerbTests
{
    private const string Opening = "Once upon a time there was a little girl who lived in";

    [Fact]
    public void Run_writes_the_answer_and_nothing_else()
    {
        string[] arguments = ["run", Opening, "--temp", "0", "-n", "8"];
        TernResult first = TernProcess.Run(arguments).AssertSucceeds();

        Assert.NotEqual("", first.Output.Trim());
        Assert.EndsWith("\n", first.Output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', first.Output);
        Assert.Equal(first.Output, TernProcess.Run(Opening + "\n", ["run", "--temp", "0", "-n", "8"]).AssertSucceeds().Output);
    }

    [Fact]
    public void Run_reports_speeds_on_standard_error_when_asked()
    {
        TernResult result = TernProcess.Run("run", "-p", Opening, "-n", "4", "--seed", "7", "--stats");

        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"^4 tokens at [\d.]+ tok/s; prompt \d+ tokens .* first token after [\d.]+ s\n$", result.Error);
    }

    [Fact]
    public void A_system_prompt_needs_a_chat_template() =>
        TernProcess.Run("run", "hello", "--system", "be brief").AssertFails(1, "request");

    [Fact]
    public void Inspect_says_what_runs_the_file()
    {
        JsonElement report = Json(TernProcess.Run("inspect", "storyteller", "--json", "--tensors").AssertSucceeds().Output);

        Assert.True(report.GetProperty("runnable").GetBoolean());
        Assert.Equal("bitnet-b1.58", report.GetProperty("architecture").GetString());
        JsonElement ternary = report.GetProperty("types").EnumerateArray().Single(t => t.GetProperty("type").GetString() == "I2_S");
        Assert.NotEqual(0, ternary.GetProperty("kernels").GetArrayLength());
        Assert.Equal(report.GetProperty("tensorCount").GetInt32(), report.GetProperty("tensors").GetArrayLength());
    }

    [Fact]
    public void Inspect_writes_plain_text_into_a_pipe()
    {
        string text = TernProcess.Run("inspect").AssertSucceeds().Output;

        Assert.Contains("bitnet-b1.58", text, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', text);
        Assert.DoesNotContain('│', text);
    }

    [Fact]
    public void Tokens_and_text_are_inverse()
    {
        string[] texts = [Opening, "", "naïve – 北京 🦉\n\tdone"];
        string ids = TernProcess.Run(JsonSerializer.Serialize(texts), ["tokenize", "--json"]).AssertSucceeds().Output;
        string back = TernProcess.Run(ids, ["detokenize", "--json"]).AssertSucceeds().Output;

        Assert.Equal(texts, JsonSerializer.Deserialize<string[]>(back)!);
    }

    [SharedTheory]
    [InlineData("gpt-2")]
    [InlineData("llama-spm")]
    public void Vocabulary_files_without_tensors_can_be_used(string name)
    {
        JsonElement[] cases = [.. Json(File.ReadAllText(SharedData.File("vectors", "tokenizer", name + ".json"))).GetProperty("cases").EnumerateArray()];
        string texts = JsonSerializer.Serialize(cases.Select(c => c.GetProperty("text").GetString()));
        string ids = TernProcess.Run(texts, ["tokenize", SharedData.File("vectors", "tokenizer", name + ".gguf"), "--json"]).Output;

        Assert.Equal(
            cases.Select(c => c.GetProperty("tokens").EnumerateArray().Select(t => t.GetInt32()).ToArray()),
            JsonSerializer.Deserialize<int[][]>(ids)!);
    }

    [SharedFact]
    public void Logits_agree_with_the_reference()
    {
        JsonElement[] prompts = [.. Json(File.ReadAllText(SharedData.File("models", "storyteller.json"))).GetProperty("prompts").EnumerateArray()];
        string input = JsonSerializer.Serialize(prompts.Select(p => p.GetProperty("ids")));
        string[] lines = TernProcess.Run(input, ["logits", SharedData.File("models", "storyteller.gguf"), "--json", "--greedy", "4"]).AssertSucceeds().Output.TrimEnd().Split('\n');

        Assert.Equal(prompts.Length, lines.Length);
        foreach ((JsonElement expected, string line) in prompts.Zip(lines))
        {
            JsonElement actual = Json(line);
            int length = expected.GetProperty("ids").GetArrayLength();
            Assert.Equal(length, actual.GetProperty("top").GetArrayLength());

            // Rounding ties may fall on either side: the limits are those of the golden models' README for prompts that are not strict.
            Assert.Equal(expected.GetProperty("loglik").GetDouble(), actual.GetProperty("logLikelihood").GetDouble(), 0.6);
            float best = expected.GetProperty("top5_last")[0][1].GetSingle();
            Assert.Equal(best, actual.GetProperty("top")[length - 1][0][1].GetSingle(), 0.6f);
            Assert.Equal(4, actual.GetProperty("greedy").GetArrayLength());
            Assert.Equal(actual.GetProperty("top")[length - 1][0][0].GetInt32(), actual.GetProperty("greedy")[0].GetInt32());
        }
    }

    [Fact]
    public void Logits_do_not_depend_on_chunks_or_threads()
    {
        const string prompt = "[[256,79,1948,576,259,568,469,304,259,530,963,481,2019,295]]";
        string[] arguments = ["logits", "--greedy", "3"];
        string whole = TernProcess.Run(prompt, arguments).AssertSucceeds().Output;

        Assert.Equal(whole, TernProcess.Run(prompt, [.. arguments, "--chunk", "1", "--threads", "1"]).Output);
        Assert.Equal(whole, TernProcess.Run(prompt, [.. arguments, "--chunk", "7", "--threads", "3"]).Output);
    }

    [Theory]
    [InlineData("[[999999]]", "token id 999999")]
    [InlineData("[[]]", "item 0 is empty")]
    public void Logits_refuse_prompts_that_cannot_be(string input, string expected)
    {
        TernResult result = TernProcess.Run(input, ["logits"]);

        result.AssertFails(1, "request");
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_that_writes_text_has_no_embeddings() => TernProcess.Run("embed", "hello").AssertFails(1, "request");

    [SharedFact]
    public void Embeddings_agree_with_the_reference()
    {
        JsonElement[] prompts = [.. Json(File.ReadAllText(SharedData.File("goldens", "m07-qwen3-embedding-normin-i2s.expected.json"))).GetProperty("prompts").EnumerateArray()];
        string input = JsonSerializer.Serialize(prompts.Select(p => p.GetProperty("text").GetString()));
        string output = TernProcess.Run(input, ["embed", SharedData.File("goldens", "m07-qwen3-embedding-normin-i2s.gguf"), "--json"]).Output;
        float[][] embeddings = JsonSerializer.Deserialize<float[][]>(output)!;

        for (int i = 0; i < prompts.Length; i++)
        {
            double[] expected = [.. prompts[i].GetProperty("embedding").EnumerateArray().Select(v => v.GetDouble())];
            Assert.InRange(expected.Zip(embeddings[i], (a, b) => a * b).Sum(), 0.99, 1.0001);
        }
    }

    [Fact]
    public void Perplexity_of_a_text_that_is_too_short_says_so()
    {
        TernResult result = TernProcess.Run("A short text.", ["perplexity", "-c", "64"]);

        result.AssertFails(1, "request");
        Assert.Contains("at least 128", result.Error, StringComparison.Ordinal);
    }

    [SharedFact]
    public void Perplexity_of_training_text_is_near_that_of_ten_times_as_much()
    {
        // The first 300,000 bytes have 30.08 ± 0.37 (docs/kv-cache.md); a tenth of them has a standard error of 1.2 and is within five of them.
        using FileStream file = File.OpenRead(SharedData.File("data", "text", "children.txt"));
        byte[] text = new byte[30_000];
        file.ReadExactly(text);
        JsonElement report = Json(TernProcess.Run(text, ["perplexity", "-c", "256", "--json"]).AssertSucceeds().Output);

        Assert.InRange(report.GetProperty("perplexity").GetDouble(), 24, 36);
        Assert.InRange(report.GetProperty("bitsPerByte").GetDouble(), 1.2, 1.6);
        Assert.True(report.GetProperty("tokens").GetInt32() > 1000);
    }

    [Fact]
    public void Bench_ends_with_a_line_of_json()
    {
        TernResult result = TernProcess.Run("bench", "-p", "8", "-n", "2", "-d", "0,4", "-t", "1", "-r", "1").AssertSucceeds();
        JsonElement figures = Json(result.LastLine);

        Assert.True(figures.GetProperty("pp8").GetProperty("median").GetDouble() > 0);
        Assert.True(figures.GetProperty("tg2@d4").GetProperty("median").GetDouble() > 0);
        Assert.True(figures.GetProperty("ceiling").GetProperty("readBytesPerSecond").GetDouble() > 0);
        Assert.True(figures.GetProperty("ceiling").GetProperty("bytesPerToken").GetInt64() > 0);
    }

    [Theory]
    [InlineData("-INT", 130)]
    [InlineData("-TERM", 143)]
    public void A_signal_ends_promptly_with_its_code(string signal, int exitCode)
    {
        if (OperatingSystem.IsWindows())
            return; // there is no kill -INT

        using Process process = TernProcess.Start(["bench", "-p", "64", "-n", "64", "-r", "1000", "-t", "1"]);
        Thread.Sleep(1500);
        Assert.False(process.HasExited);
        using (Process kill = Process.Start("kill", [signal, $"{process.Id}"]))
            kill.WaitForExit();

        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(5)));
        Assert.Equal(exitCode, process.ExitCode);
        Assert.Equal("", process.StandardError.ReadToEnd());
    }

    private static JsonElement Json(string text)
    {
        using JsonDocument document = JsonDocument.Parse(Encoding.UTF8.GetBytes(text));
        return document.RootElement.Clone();
    }
}

using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Tern.Files;
using Tern.Numerics;

namespace Tern.Tests.Files;

/// <summary>Every malformed file that the reader decides is refused in its class, with its place named, quickly and in little memory.</summary>
public sealed partial class MalformedGgufTests : IDisposable
{
    private const double MillisecondsMax = 1000;
    private const long AllocatedMax = 64 << 20;

    private static readonly byte[] s_good = File.ReadAllBytes(Path.Combine(Repository.Root, "src", "Tern.Cli", "models", "storyteller.gguf"));

    private readonly TempFolder _folder = new();

    public static TheoryData<string> DecidedByReader => [.. MalformedCorpus.All.Where(c => c.ByReader).Select(c => c.Name)];

    public static TheoryData<string> DecidedLater => [.. MalformedCorpus.All.Where(c => !c.ByReader).Select(c => c.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(DecidedByReader))]
    public void Reader_decides_as_the_corpus_says(string name)
    {
        MalformedCase malformed = MalformedCorpus.All.First(c => c.Name == name);
        string path = _folder.Write(name + ".gguf", malformed.Build(GgufImage.Parse(s_good)));
        TernException? error = Open(path, out GgufFile? file);
        using (file)
        {
            if (malformed.Expect.StartsWith("REJECT_", StringComparison.Ordinal))
                AssertRefused(malformed, path, error);
            else if (malformed.Expect != "NO_CRASH")
                AssertAccepted(malformed, error, file);
        }
    }

    /// <summary>What the model loader decides must get past the reader, or it would be refused for the wrong reason.</summary>
    [Theory]
    [MemberData(nameof(DecidedLater))]
    public void Reader_leaves_the_rest_to_the_loader(string name)
    {
        MalformedCase malformed = MalformedCorpus.All.First(c => c.Name == name);
        string path = _folder.Write(name.Replace('^', '-') + ".gguf", malformed.Build(GgufImage.Parse(s_good)));
        TernException? error = Open(path, out GgufFile? file);
        file?.Dispose();
        Assert.Null(error);
    }

    [SharedFact]
    public void Corpus_has_every_case_of_the_shared_list()
    {
        using var cases = JsonDocument.Parse(File.ReadAllBytes(SharedData.File("malformed", "cases.json")));
        IEnumerable<string> expected = cases.RootElement.GetProperty("gguf").EnumerateArray()
            .Select(c => c.GetProperty("name").GetString() + " " + c.GetProperty("expect").GetString());
        Assert.Equal(expected.Order(StringComparer.Ordinal), MalformedCorpus.All.Select(c => $"{c.Name} {c.Expect}").Order(StringComparer.Ordinal));
    }

    /// <summary>The rules that name an id's other meanings say both.</summary>
    [Fact]
    public void Id_36_that_is_not_i2s_names_both_meanings()
    {
        string path = _folder.Write("36.gguf", MalformedCorpus.All.First(c => c.Name == "t_type_i2s_36_ambiguous").Build(GgufImage.Parse(s_good)));
        TernException error = Open(path, out _)!;
        Assert.Contains("I2_S", error.Message, StringComparison.Ordinal);
        Assert.Contains("IQ4_NL_4_4", error.Message, StringComparison.Ordinal);
    }

    private static void AssertRefused(MalformedCase malformed, string path, TernException? error)
    {
        Assert.NotNull(error);
        Assert.Equal(malformed.Expect, "REJECT_" + error.Kind.ToString().ToUpperInvariant());
        string kind = error.Kind.ToString().ToLowerInvariant();
        Assert.StartsWith($"{path}: {kind} error", error.Message, StringComparison.Ordinal);
        Assert.Contains("; ", error.Message, StringComparison.Ordinal);
        if (error.Kind == ErrorKind.Semantic)
            Assert.Matches("(key|tensor) '", error.Message);
        else
            Assert.Matches(OffsetAndField(), error.Message);
        if (error.Kind == ErrorKind.Limit)
            Assert.Matches("the limit GgufLimits\\.[A-Z][A-Za-z]+ of [0-9]+", error.Message);
    }

    private void AssertAccepted(MalformedCase malformed, TernException? error, GgufFile? file)
    {
        Assert.Null(error);
        if (malformed.Expect == "ACCEPT_WARN" && malformed.Name != "t_extra_tensor_ok")
            Assert.Single(file!.Warnings);
        else
            Assert.Empty(file!.Warnings);
        if (malformed.Expect == "ACCEPT_OR_HASH_REJECT")
            return;

        using var good = GgufFile.Open(_folder.Write("good.gguf", s_good));
        foreach (Tensor tensor in good.TensorsInOrder)
            Assert.True(tensor.Bytes(0, (int)tensor.ByteCount).SequenceEqual(file.Tensors[tensor.Name].Bytes(0, (int)tensor.ByteCount)), tensor.Name);
    }

    /// <summary>Opens a file within the bounds of time and memory; a machine that was busy elsewhere gets a second try.</summary>
    private static TernException? Open(string path, out GgufFile? file)
    {
        TernException? error = OpenOnce(path, out file, out double milliseconds);
        if (milliseconds >= MillisecondsMax)
        {
            file?.Dispose();
            error = OpenOnce(path, out file, out milliseconds);
        }

        Assert.True(milliseconds < MillisecondsMax, $"{path} took {milliseconds} ms");
        return error;
    }

    private static TernException? OpenOnce(string path, out GgufFile? file, out double milliseconds)
    {
        file = null;
        TernException? error = null;
        long before = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        try
        {
            file = GgufFile.Open(path);
        }
        catch (TernException e)
        {
            error = e;
        }

        milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < AllocatedMax, $"{path} allocated {allocated} bytes");
        return error;
    }

    [GeneratedRegex(": (format|limit|unsupported) error at offset [0-9]+: [^:]+: .+; .+")]
    private static partial Regex OffsetAndField();
}

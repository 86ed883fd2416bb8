using System.Diagnostics;
using Tern.Models;
using Tern.Tests.Files;
using Tern.Text.Templates;

namespace Tern.Tests.Models;

/// <summary>The whole corpus of malformed files against the whole loader: what the reader passes on, the model or its template decides.</summary>
public sealed class MalformedModelTests : IDisposable
{
    private const long AllocatedMax = 64 << 20;

    private static readonly byte[] s_good = File.ReadAllBytes(Path.Combine(Repository.Root, "src", "Tern.Cli", "models", "storyteller.gguf"));

    private readonly TempFolder _folder = new();

    public static TheoryData<string> Names => [.. MalformedCorpus.All.Select(c => c.Name)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void Loading_decides_as_the_corpus_says(string name)
    {
        MalformedCase malformed = MalformedCorpus.All.First(c => c.Name == name);
        string path = _folder.Write(name.Replace('^', '-') + ".gguf", malformed.Build(GgufImage.Parse(s_good)));
        long before = GC.GetAllocatedBytesForCurrentThread();
        TernException? error = Load(path, out Model? model);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < AllocatedMax);
        using (model)
        {
            if (malformed.Expect.StartsWith("REJECT_", StringComparison.Ordinal))
                AssertRefused(malformed, path, error);
            else if (malformed.Expect.StartsWith("RENDER_", StringComparison.Ordinal))
                AssertRender(malformed, model!);
            else if (malformed.Expect is "ACCEPT_SAME")
                Assert.True(error is null && model!.Warnings.Count == 0);
            else if (malformed.Expect is "ACCEPT_WARN")
                Assert.Single(model!.Warnings);
        }
    }

    private static void AssertRefused(MalformedCase malformed, string path, TernException? error)
    {
        Assert.NotNull(error);
        Assert.Equal(malformed.Expect, "REJECT_" + error.Kind.ToString().ToUpperInvariant());
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        if (error.Kind == ErrorKind.Semantic)
            Assert.Matches("(key|tensors?)[ :]", error.Message);
        else
            Assert.Contains("at offset ", error.Message, StringComparison.Ordinal);
    }

    private static void AssertRender(MalformedCase malformed, Model model)
    {
        ChatTemplate template = ChatTemplate.From(model.Metadata, model.Tokenizer, _ => { })!;
        long start = Stopwatch.GetTimestamp();
        try
        {
            template.Render([new Message(Role.User, "hello")]);
            Assert.Equal("RENDER_OK_OR_LIMIT", malformed.Expect);
        }
        catch (TernException e)
        {
            Assert.Equal(ErrorKind.Template, e.Kind);
            Assert.Contains(malformed.Expect == "RENDER_ERROR" ? "line" : "budget", e.Message, StringComparison.Ordinal);
        }

        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(5), "budgets end a render within moments on any machine");
    }

    private static TernException? Load(string path, out Model? model)
    {
        model = null;
        try
        {
            model = Model.Load(path, new ModelOptions { Threads = 1 });
            return null;
        }
        catch (TernException e)
        {
            return e;
        }
    }
}

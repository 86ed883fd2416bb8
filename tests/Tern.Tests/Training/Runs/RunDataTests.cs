using Tern.Tests.Training.Data;
using Tern.Training.Data;
using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>Which files a run reads, and that it tells how far it is.</summary>
public sealed class RunDataTests : IDisposable
{
    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Fact]
    public void No_file_is_taken_twice_and_what_is_held_out_is_not_trained_on()
    {
        string folder = Directory.CreateDirectory(_run.Folder.File("texts")).FullName;
        foreach (string name in (string[])["a.txt", "b.txt", "c.txt"])
            File.WriteAllText(Path.Combine(folder, name), TinyCorpus.Documents(4, 60));

        // The same folder under another name, a file of it once more, and a held-out file that lies in it, named twice.
        string other = Path.Combine(folder, "..", "texts");
        RunConfiguration fields = _run.Fields("run", 2, ("separator", "file"), ("heldOutShare", null));
        fields.Set("data", [folder, other, Path.Combine(folder, "a.txt")]);
        fields.Set("heldOut", [Path.Combine(other, "b.txt"), Path.Combine(folder, "b.txt")]);
        var observer = new RecordingObserver();
        _run.Job(fields, observer);

        using TokenCache cache = TokenCache.Open(_run.In("run", "tokens.bin"), 320);
        Assert.Equal([("a.txt#1", false), ("c.txt#1", false), ("b.txt#1", true)], cache.Documents.Select(document => (document.Name, document.HeldOut)));
        Assert.Equal(observer.Shares.Order(), observer.Shares);
        Assert.Equal(1, observer.Shares[^1], 1e-9);
        Assert.True(observer.Shares[0] < 0.5);
    }

    [Fact]
    public void Text_that_is_all_held_out_is_refused()
    {
        TernException error = Assert.Throws<TernException>(() => _run.Job(_run.Fields("run", 2, ("heldOut", _run.Text))));
        Assert.Contains("every file is held out", error.Message, StringComparison.Ordinal);
    }
}

using Tern.Hub;
using Tern.Tests.Files;

namespace Tern.Tests.Hub;

/// <summary>A hub, a store and impatient settings for one test.</summary>
internal sealed class HubWorld : IDisposable
{
    public const string Name = "owner/model";

    private readonly TempFolder _folder = new();

    public HubWorld(params FakeFile[] files)
    {
        Hub.Repositories[Name] = files;
        Store = new ModelStore(new StoreLayout(Path.Combine(_folder.Path, "store")));
        Settings = new HubSettings
        {
            Hub = Hub.Address,
            Store = Store.Layout.Root,
            OllamaStore = Path.Combine(_folder.Path, "ollama"),
            StallTimeout = TimeSpan.FromSeconds(20),
            RangeBytesMin = 1000,
            Clock = Clock,
            Jitter = new Random(1),
        };
    }

    public FakeHub Hub { get; } = new();

    public FakeClock Clock { get; } = new();

    public ModelStore Store { get; }

    public HubSettings Settings { get; set; }

    public List<string> Said { get; } = [];

    public string Folder => _folder.Path;

    /// <summary>Variables for a child process in this world.</summary>
    public (string Name, string Value)[] Variables =>
        [("TERN_HUB", Hub.Address.AbsoluteUri), ("TERN_MODELS", Store.Layout.Root), ("TERN_OFFLINE", ""), ("HF_HUB_OFFLINE", ""), ("TERN_HUB_TOKEN", ""), ("HF_TOKEN", ""), ("OLLAMA_MODELS", Settings.OllamaStore)];

    public Manifest Pull(string name = Name, bool allFiles = false)
    {
        PullRequest request = PullRequest.TryFrom(name, Settings.Hub)! with { AllFiles = allFiles };
        return new Puller(Settings, Store, new TransferProgress(), Said.Add).Pull(request, CancellationToken.None).GetAwaiter().GetResult();
    }

    public TernException PullFails(string name = Name)
    {
        TernException error = Assert.Throws<TernException>(() => Pull(name));
        Assert.Null(Store.Find(name));
        return error;
    }

    /// <summary>Asserts that a model is whole: manifest, blobs and links hold what the hub has.</summary>
    public void AssertHas(params FakeFile[] files)
    {
        StoredModel model = Store.Find(Name)!;
        Assert.NotNull(model);
        Assert.Equal(files.Select(f => (f.Path, f.Sha256)), model.Manifest.Files.Select(f => (f.Path, f.Sha256)));
        string path = Store.PathOf(model);
        string folder = model.File is null ? path : path[..^model.File.Length];
        foreach (FakeFile file in files)
            Assert.Equal(file.Contents, File.ReadAllBytes(Path.Combine(folder, file.Path)));
    }

    /// <summary>Names of everything in blobs that is no finished file.</summary>
    public string[] Unfinished() =>
        [.. Directory.EnumerateFiles(Store.Layout.Blobs).Select(f => Path.GetFileName(f)!).Where(f => f.Contains(StoreLayout.PartialSuffix, StringComparison.Ordinal))];

    public void Dispose()
    {
        Hub.Dispose();
        _folder.Dispose();
    }
}

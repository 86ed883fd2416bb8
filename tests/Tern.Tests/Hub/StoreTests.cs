using Tern.Hub;
using Tern.Tests.Cli;

namespace Tern.Tests.Hub;

/// <summary>The store: names, blobs that models share, imports, what is left over and how it goes.</summary>
public sealed class StoreTests
{
    private static readonly FakeFile s_shared = new("tokenizer.json", "{}"u8.ToArray(), IsLarge: false);
    private static readonly FakeFile s_config = new("config.json", "{\"c\":1}"u8.ToArray(), IsLarge: false);
    private static readonly FakeFile s_first = new("model.safetensors", FakeHub.RandomBytes(3, 2_000));
    private static readonly FakeFile s_second = new("model.safetensors", FakeHub.RandomBytes(4, 2_000));

    [Fact]
    public void A_model_is_found_by_all_its_names()
    {
        FakeFile file = new("ggml-model-i2_s.gguf", FakeHub.RandomBytes(5, 100));
        using var world = new HubWorld();
        world.Hub.Repositories["microsoft/bitnet-b1.58-2B-4T-gguf"] = [file];

        world.Pull("2b-4t");

        string[] names = ["2b-4t", "2B-4T", "microsoft/bitnet-b1.58-2B-4T-gguf", "hf.co/microsoft/bitnet-b1.58-2B-4T-gguf", "microsoft/bitnet-b1.58-2B-4T-gguf:ggml-model-i2_s.gguf"];
        foreach (string name in names)
            Assert.Equal(file.Contents, File.ReadAllBytes(world.Store.PathOf(world.Store.Find(name)!)));
        Assert.Null(world.Store.Find("microsoft/bitnet-b1.58-2B-4T-gguf:other.gguf"));
        Assert.Null(world.Store.Find("bitnet"));
        Assert.Contains(world.Said, s => s.Contains("newer than the one", StringComparison.Ordinal));
    }

    [Fact]
    public void Models_share_blobs_and_the_last_one_takes_them_along()
    {
        using var world = new HubWorld(s_config, s_shared, s_first);
        world.Hub.Repositories["owner/other"] = [s_config, s_shared, s_second];
        Manifest first = world.Pull();
        Manifest second = world.Pull("owner/other");
        Assert.Equal(4, Directory.EnumerateFiles(world.Store.Layout.Blobs, "sha256-*").Count());

        Assert.True(StoreLeftovers.DeleteModel(world.Store, first, CancellationToken.None));

        Assert.Null(world.Store.Find(HubWorld.Name));
        Assert.Equal(3, Directory.EnumerateFiles(world.Store.Layout.Blobs, "sha256-*").Count());
        Assert.Equal(s_second.Contents, File.ReadAllBytes(Path.Combine(world.Store.PathOf(world.Store.Find("owner/other")!), "model.safetensors")));

        Assert.True(StoreLeftovers.DeleteModel(world.Store, second, CancellationToken.None));
        Assert.Empty(Directory.EnumerateFiles(world.Store.Layout.Blobs, "sha256-*"));
        Assert.Empty(Directory.EnumerateFileSystemEntries(world.Store.Layout.Directories));
        Assert.Empty(Directory.EnumerateFileSystemEntries(world.Store.Layout.Manifests));
    }

    [Fact]
    public void A_second_name_keeps_the_model_alive()
    {
        using var world = new HubWorld(s_config, s_first);
        Manifest model = world.Pull();
        world.Store.Commit(model with { Name = ModelName.TryStored("mine")! }, CancellationToken.None);

        StoreLeftovers.DeleteModel(world.Store, model, CancellationToken.None);

        StoredModel mine = world.Store.Find("mine")!;
        Assert.Equal(s_first.Contents, File.ReadAllBytes(Path.Combine(world.Store.PathOf(mine), "model.safetensors")));
        Assert.Equal(model.Files, mine.Manifest.Files);
    }

    [Fact]
    public void Blobs_are_not_deleted_while_somebody_brings_some_in()
    {
        using var world = new HubWorld(s_config, s_first);
        Manifest model = world.Pull();
        using (world.Store.BringIn(CancellationToken.None))
        {
            Assert.False(StoreLeftovers.DeleteModel(world.Store, model, CancellationToken.None));
            Assert.Null(StoreLeftovers.Delete(world.Store, Assert.Fail, CancellationToken.None));
            Assert.Equal(2, Directory.EnumerateFiles(world.Store.Layout.Blobs, "sha256-*").Count());
        }

        Assert.NotEmpty(StoreLeftovers.Delete(world.Store, Assert.Fail, CancellationToken.None)!);
        Assert.Empty(Directory.EnumerateFiles(world.Store.Layout.Blobs));
    }

    [Fact]
    public void Links_that_are_missing_are_made_again()
    {
        using var world = new HubWorld(s_config, s_first);
        world.Pull();
        Directory.Delete(world.Store.Layout.Directories, recursive: true);

        world.AssertHas(s_config, s_first);
    }

    [Fact]
    public void A_blob_that_is_gone_is_said()
    {
        using var world = new HubWorld(s_config, s_first);
        world.Pull();
        Directory.Delete(world.Store.Layout.Directories, recursive: true);
        File.Delete(world.Store.Layout.Blob(s_first.Sha256));

        Assert.Contains("tern pull", Assert.Throws<TernException>(() => world.Store.PathOf(world.Store.Find(HubWorld.Name)!)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Blobs_are_read_only()
    {
        using var world = new HubWorld(s_config, s_first);
        world.Pull();

        Assert.All(Directory.EnumerateFiles(world.Store.Layout.Blobs, "sha256-*"), f => Assert.True(File.GetAttributes(f).HasFlag(FileAttributes.ReadOnly)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("{\"version\":2}")]
    [InlineData("{\"version\":1,\"name\":\"a/b\",\"files\":[]}")]
    [InlineData("{\"version\":1,\"name\":\"a/b\",\"files\":[{\"path\":\"../x\",\"bytes\":1,\"sha256\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}")]
    [InlineData("{\"version\":1,\"name\":\"a/b\",\"files\":[{\"path\":\"x\",\"bytes\":1,\"sha256\":\"../../etc\"}]}")]
    [InlineData("{\"version\":1,\"name\":\"../x\",\"files\":3}")]
    public void A_damaged_manifest_is_named_and_no_blob_is_deleted_for_it(string json)
    {
        using var world = new HubWorld(s_config, s_first);
        Manifest model = world.Pull();
        string path = world.Store.Layout.Manifest(ModelName.TryStored("damaged")!);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, json);
        var warnings = new List<string>();

        Assert.Single(world.Store.List(warnings.Add));
        Assert.Contains(path, Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Contains(path, Assert.Throws<TernException>(() => StoreLeftovers.DeleteModel(world.Store, model, CancellationToken.None)).Message, StringComparison.Ordinal);
        Assert.True(File.Exists(world.Store.Layout.Blob(s_first.Sha256)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_file_is_imported_by_copy_or_link(bool link)
    {
        using var world = new HubWorld();
        string source = Path.Combine(world.Folder, "My model (1).gguf");
        File.Copy(TernProcess.Storyteller, source);

        Manifest model = Import(world, source, null, link);

        Assert.Equal(("My-model-1", "I2_S", "My model (1).gguf"), (model.Name.ToString(), model.Type, model.Main));
        string path = world.Store.PathOf(world.Store.Find("My-model-1")!);
        Assert.Equal(File.ReadAllBytes(source), File.ReadAllBytes(path));
        File.Delete(source);
        Assert.True(File.Exists(path));
        Assert.Empty(world.Unfinished());
    }

    [Fact]
    public void A_folder_is_imported_as_a_checkpoint()
    {
        using var world = new HubWorld();
        string source = Directory.CreateDirectory(Path.Combine(world.Folder, "checkpoint")).FullName;
        foreach (FakeFile file in new[] { s_config, s_shared, s_first })
            File.WriteAllBytes(Path.Combine(source, file.Path), file.Contents);
        File.WriteAllText(Path.Combine(source, "pytorch_model.bin"), "pickle");
        Directory.CreateDirectory(Path.Combine(source, ".git"));
        File.WriteAllText(Path.Combine(source, ".git", "model.safetensors"), "no");

        Manifest model = Import(world, source, ModelName.TryStored("me/mine"));

        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], model.Files.Select(f => f.Path));
        Assert.Equal(s_first.Contents, File.ReadAllBytes(Path.Combine(world.Store.PathOf(world.Store.Find("me/mine")!), "model.safetensors")));
    }

    [Fact]
    public void A_folder_is_imported_without_what_its_links_lead_to()
    {
        if (OperatingSystem.IsWindows())
            return; // where links need rights that tests do not have

        using var world = new HubWorld();
        string folder = Path.Combine(world.Folder, "stranger"), secret = Path.Combine(world.Folder, "secret");
        Directory.CreateDirectory(folder);
        File.WriteAllText(secret, "mine");
        File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), s_first.Contents);
        File.WriteAllBytes(Path.Combine(folder, "inside"), s_config.Contents);
        File.CreateSymbolicLink(Path.Combine(folder, "config.json"), "inside");
        File.CreateSymbolicLink(Path.Combine(folder, "LICENSE"), secret);

        TernException error = Assert.Throws<TernException>(() => Import(world, folder, null));
        Assert.Contains("LICENSE", error.Message, StringComparison.Ordinal);
        Assert.Empty(world.Store.List(Assert.Fail));

        File.Delete(Path.Combine(folder, "LICENSE"));
        Import(world, folder, null);
        Assert.Equal(s_config.Contents, File.ReadAllBytes(Path.Combine(world.Store.PathOf(world.Store.Find("stranger")!), "config.json")));
    }

    [Fact]
    public void A_name_that_no_file_can_have_is_not_in_the_store()
    {
        using var world = new HubWorld(s_config, s_first);
        world.Pull();
        Assert.Null(world.Store.Find($"{HubWorld.Name}:{new string('x', 300)}"));
    }

    [Fact]
    public void Parts_of_a_split_file_are_imported_together()
    {
        using var world = new HubWorld();
        for (int i = 1; i <= 2; i++)
            File.WriteAllBytes(Path.Combine(world.Folder, $"m-0000{i}-of-00002.gguf"), [.. "GGUF"u8, (byte)i]);

        Manifest model = Import(world, Path.Combine(world.Folder, "m-00001-of-00002.gguf"), null);

        Assert.Equal(["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"], model.Files.Select(f => f.Path));
    }

    [Theory]
    [InlineData("absent.gguf", "not found")]
    [InlineData("text.gguf", "GGUF")]
    [InlineData("empty", "no file that Tern runs")]
    [InlineData("ollama:absent", "llama3:8b")]
    [InlineData("ollama:../../x", "no name of an Ollama model")]
    [InlineData("ollama:broken", "no manifest")]
    public void What_cannot_be_imported_is_said(string source, string expected)
    {
        using var world = new HubWorld();
        WriteOllama(world, "llama3", "8b", "{}");
        WriteOllama(world, "broken", "latest", "{\"layers\":[]}");
        File.WriteAllText(Path.Combine(world.Folder, "text.gguf"), "no model");
        Directory.CreateDirectory(Path.Combine(world.Folder, "empty"));
        string path = source.StartsWith("ollama:", StringComparison.Ordinal) ? source : Path.Combine(world.Folder, source);

        Assert.Contains(expected, Assert.Throws<TernException>(() => Import(world, path, null)).Message, StringComparison.Ordinal);
        Assert.Empty(world.Store.List(Assert.Fail));
    }

    [Theory]
    [InlineData("ollama:llama3:8b", "llama3-8b")]
    [InlineData("ollama:llama3", "llama3")]
    [InlineData("ollama:library/llama3:8b", "llama3-8b")]
    public void A_model_of_ollamas_store_is_imported(string source, string name)
    {
        using var world = new HubWorld();
        var file = new FakeFile("x", File.ReadAllBytes(TernProcess.Storyteller));
        string blobs = Directory.CreateDirectory(Path.Combine(world.Settings.OllamaStore, "blobs")).FullName;
        File.WriteAllBytes(Path.Combine(blobs, "sha256-" + file.Sha256), file.Contents);
        string manifest = $$"""{"layers":[{"mediaType":"application/vnd.ollama.image.template","digest":"sha256:00"},{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{{file.Sha256}}"}]}""";
        WriteOllama(world, "llama3", "8b", manifest);
        WriteOllama(world, "llama3", "latest", manifest);

        Manifest model = Import(world, source, null);

        Assert.Equal((name, name + ".gguf", "I2_S"), (model.Name.ToString(), model.Main, model.Type));
        Assert.Equal(file.Contents, File.ReadAllBytes(world.Store.PathOf(world.Store.Find(name)!)));
    }

    [Theory]
    [InlineData(LinkKind.Hard)]
    [InlineData(LinkKind.Symbolic)]
    [InlineData(LinkKind.Copy)]
    internal void Every_kind_of_second_name_shows_the_same_bytes(LinkKind kind)
    {
        using var world = new HubWorld();
        string first = Path.Combine(world.Folder, "first");
        string second = Path.Combine(world.Folder, "second");
        File.WriteAllBytes(first, s_first.Contents);

        Assert.True(FileLinks.TryCreate(first, second, kind));

        Assert.Equal(s_first.Contents, File.ReadAllBytes(second));
        Assert.False(FileLinks.TryCreate(Path.Combine(world.Folder, "absent"), Path.Combine(world.Folder, "third"), LinkKind.Hard));
    }

    private static Manifest Import(HubWorld world, string source, ModelName? name, bool link = false) =>
        new Importer(world.Settings, world.Store, new TransferProgress(), world.Said.Add).Import(source, name, link, CancellationToken.None);

    private static void WriteOllama(HubWorld world, string name, string tag, string json)
    {
        string folder = Directory.CreateDirectory(Path.Combine(world.Settings.OllamaStore, "manifests", "registry.ollama.ai", "library", name)).FullName;
        File.WriteAllText(Path.Combine(folder, tag), json);
    }
}

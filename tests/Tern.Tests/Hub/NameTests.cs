using Tern.Hub;

namespace Tern.Tests.Hub;

/// <summary>Names of models, names of files, and the list of short names.</summary>
public sealed class NameTests
{
    [Theory]
    [InlineData("owner/name", "owner/name", null, null)]
    [InlineData("owner/name:file.gguf", "owner/name", null, "file.gguf")]
    [InlineData("owner/name@v1.0", "owner/name", "v1.0", null)]
    [InlineData("owner/name@refs/pr/1:sub/file.gguf", "owner/name", "refs/pr/1", "sub/file.gguf")]
    [InlineData("hf.co/owner/name:Q2_0", "owner/name", null, "Q2_0")]
    [InlineData("https://huggingface.co/owner/name", "owner/name", null, null)]
    [InlineData("https://huggingface.co/owner/name/", "owner/name", null, null)]
    [InlineData("https://huggingface.co/owner/name/tree/main", "owner/name", "main", null)]
    [InlineData("https://huggingface.co/owner/name/resolve/main/a%20b.gguf?download=true", "owner/name", "main", "a b.gguf")]
    public void A_repository_is_read_from_what_people_write(string text, string repository, string? revision, string? file)
    {
        ModelName name = ModelName.TryRepository(text)!;

        Assert.Equal((repository, revision, file), (name.Repository, name.Revision, name.File));
        Assert.Equal(name, ModelName.TryStored(name.ToString()));
    }

    [Theory]
    [InlineData("name")]
    [InlineData("Once upon a time")]
    [InlineData("and / or")]
    [InlineData("/absolute/path")]
    [InlineData("../up")]
    [InlineData("owner/..")]
    [InlineData("owner/con")]
    [InlineData("a/b/c")]
    [InlineData("owner/name:")]
    [InlineData("https://example.com/owner/name")]
    public void What_is_no_repository_is_not_read_as_one(string text) => Assert.Null(ModelName.TryRepository(text));

    [Theory]
    [InlineData("../x")]
    [InlineData("a/../../x")]
    [InlineData("/etc/passwd")]
    [InlineData("a//b")]
    [InlineData("C:/x")]
    [InlineData("c:x")]
    [InlineData("a\\b")]
    [InlineData("..\\x")]
    [InlineData("x\0y")]
    [InlineData("line\nbreak")]
    [InlineData("CON")]
    [InlineData("sub/aux.txt")]
    [InlineData("com1.gguf")]
    [InlineData("trailing.")]
    [InlineData("trailing ")]
    [InlineData(".")]
    [InlineData("")]
    [InlineData("x.tern-partial")]
    [InlineData("stream:ads")]
    public void Hostile_names_of_files_are_refused(string name) => Assert.NotNull(SafePath.Problem(name));

    [Theory]
    [InlineData("model.gguf")]
    [InlineData("sub/dir/model-00001-of-00002.gguf")]
    [InlineData(".gitattributes")]
    [InlineData("console.txt")]
    [InlineData("modèle.json")]
    public void Ordinary_names_of_files_pass(string name) => Assert.Null(SafePath.Problem(name));

    [Fact]
    public void Every_entry_of_the_list_can_be_pulled_and_says_what_is_known()
    {
        Assert.Equal(Catalog.All.Count, Catalog.All.DistinctBy(e => e.Name.ToUpperInvariant()).Count());
        foreach (CatalogEntry entry in Catalog.All)
        {
            Assert.Equal(entry.Repository, entry.ModelName.ToString());
            Assert.Equal(entry, Catalog.Find(entry.Name));
            Assert.Null(entry.File is null ? null : SafePath.Problem(entry.File));
            Assert.Null(ModelName.TryRepository(entry.Name));
            Assert.NotEqual("", entry.Licence);
            Assert.True(entry.Bytes is not null || entry.Note.Contains("size not recorded", StringComparison.Ordinal), entry.Name);
            Assert.True(entry.Sha256 is null || Manifest.IsSha256(entry.Sha256), entry.Name);
        }
    }

    [Fact]
    public void The_page_lists_every_environment_variable()
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "hub.md"));
        foreach (string name in HubEnvironment.All)
            Assert.Contains($"`{name}`", page, StringComparison.Ordinal);
        foreach (string source in Directory.EnumerateFiles(Path.Combine(Repository.Root, "src", "Tern.Hub"), "*.cs"))
            if (Path.GetFileName(source) != "HubEnvironment.cs")
                Assert.DoesNotContain("GetEnvironmentVariable", File.ReadAllText(source), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(999, "999 B")]
    [InlineData(999_999, "1.00 MB")]
    [InlineData(1_187_801_280, "1.19 GB")]
    [InlineData(45_600_000, "45.6 MB")]
    public void Sizes_have_three_digits(long bytes, string expected) => Assert.Equal(expected, Sizes.Text(bytes));

    [Fact]
    public void A_set_of_ranges_is_a_set_of_bytes()
    {
        var random = new Random(7);
        for (int round = 0; round < 200; round++)
        {
            var set = new RangeSet();
            bool[] naive = new bool[64];
            for (int step = 0; step < 12; step++)
            {
                int start = random.Next(64);
                int end = random.Next(start, 65);
                set.Add(start, end);
                Array.Fill(naive, true, start, end - start);
            }

            Assert.Equal(naive.Count(b => b), set.Total);
            bool[] missing = new bool[64];
            foreach ((long start, long end) in set.Missing(64, 5))
            {
                Assert.InRange(end - start, 1, 5);
                Array.Fill(missing, true, (int)start, (int)(end - start));
            }

            Assert.Equal(naive.Select(b => !b), missing);
        }
    }
}

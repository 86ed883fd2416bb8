using Tern.Files;

namespace Tern.Tests.Files;

/// <summary>A name stands for a whole file or for none.</summary>
public sealed class AtomicFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Final_name_appears_only_when_all_is_written()
    {
        string path = _folder.File("model.gguf");
        AtomicFile.Write(path, stream =>
        {
            stream.Write(new byte[3_000_000]);
            stream.Flush();
            Assert.False(File.Exists(path));
            Assert.DoesNotContain(Directory.EnumerateFiles(_folder.Path), f => f.EndsWith(".gguf", StringComparison.Ordinal));
        });
        Assert.Equal(3_000_000, new FileInfo(path).Length);
        Assert.Single(Directory.EnumerateFiles(_folder.Path));
    }

    [Fact]
    public void Failure_keeps_the_old_file_and_leaves_nothing_else()
    {
        string path = _folder.Write("model.gguf", [1, 2, 3]);
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, stream =>
        {
            stream.WriteByte(9);
            throw new InvalidOperationException("the source failed");
        }));
        Assert.Equal([1, 2, 3], File.ReadAllBytes(path));
        Assert.Single(Directory.EnumerateFiles(_folder.Path));
    }

    [Fact]
    public void Partial_file_of_a_killed_process_is_taken_over()
    {
        string path = _folder.File("model.gguf");
        _folder.Write("model.gguf.tern-partial", new byte[100]);
        AtomicFile.Write(path, stream => stream.Write([4, 5]));
        Assert.Equal([4, 5], File.ReadAllBytes(path));
        Assert.Single(Directory.EnumerateFiles(_folder.Path));
    }

    [Fact]
    public void Second_writer_of_the_same_name_is_refused_while_the_first_writes()
    {
        string path = _folder.File("model.gguf");
        AtomicFile.Write(path, stream =>
        {
            stream.Write([1]);
            TernException error = Assert.Throws<TernException>(() => AtomicFile.Write(path, other => other.Write([2])));
            Assert.Equal(ErrorKind.File, error.Kind);
        });
        Assert.Equal([1], File.ReadAllBytes(path));
    }

    [Fact]
    public void Folder_that_is_missing_or_name_that_is_a_folder_says_so()
    {
        foreach (string path in (string[])[_folder.File("absent/model.gguf"), _folder.Path])
        {
            TernException error = Assert.Throws<TernException>(() => AtomicFile.Write(path, stream => stream.Write([1])));
            Assert.Equal(ErrorKind.File, error.Kind);
            Assert.Contains(path, error.Message, StringComparison.Ordinal);
        }

        Assert.False(File.Exists(_folder.Path + ".tern-partial"));
    }
}

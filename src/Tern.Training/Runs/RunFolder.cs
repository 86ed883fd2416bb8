using System.Globalization;

namespace Tern.Training.Runs;

/// <summary>
/// The folder of a run, locked while it is in use.
/// <code>
/// config.json       what was asked for            log.jsonl    one object per step
/// tokenizer.gguf    the tokenizer's keys          loss.svg     curves
/// tokens.bin        the corpus as tokens          report.md    what came out
/// checkpoints/step-00000100.tern                  model.gguf   the exported model
/// checkpoints/step-00000100.md  its report        huggingface/ the same as a Hugging Face checkpoint
/// </code>
/// </summary>
internal sealed class RunFolder : IDisposable
{
    private const string CheckpointPrefix = "step-";
    private const string CheckpointExtension = ".tern";
    private const string ReportExtension = ".md";

    private readonly FileStream _lock;

    private readonly string _dataPath;

    private RunFolder(string path, string dataPath, FileStream @lock)
    {
        Path = path;
        _dataPath = dataPath;
        _lock = @lock;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    public string Configuration => In("config.json");

    public string Tokenizer => System.IO.Path.Combine(_dataPath, "tokenizer.gguf");

    public string Tokens => System.IO.Path.Combine(_dataPath, "tokens.bin");

    public string Log => In("log.jsonl");

    public string Curve => In("loss.svg");

    public string Report => In("report.md");

    public string Model => In("model.gguf");

    public string HuggingFace => In("huggingface");

    private string Checkpoints => In("checkpoints");

    /// <summary>Opens or makes the folder, and removes what an interrupted write may have left.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="dataPath">Where tokenizer and tokens lie; null is the folder itself. Runs that are compared share them.</param>
    /// <exception cref="TernException">It cannot be made, or another run uses it.</exception>
    public static RunFolder Open(string path, string? dataPath = null)
    {
        FileStream? @lock = null;
        try
        {
            Directory.CreateDirectory(System.IO.Path.Combine(path, "checkpoints"));
            @lock = new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            foreach (string leftover in Directory.GetDirectories(path, "*.tern-partial", SearchOption.AllDirectories))
                Directory.Delete(leftover, recursive: true);
            foreach (string leftover in (string[])["*.tern-partial", "*.tern-lock"])
                foreach (string file in Directory.GetFiles(path, leftover, SearchOption.AllDirectories))
                    File.Delete(file);
            return new RunFolder(path, dataPath ?? path, @lock);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            @lock?.Dispose();
            throw new TernException(ErrorKind.File, $"{path}: the run folder cannot be used: {e.Message}; check its permissions, and that no other run is working in it", e);
        }
    }

    /// <summary>Whether there is a run to go on with: it has a checkpoint, here or, of a comparison, in a folder below.</summary>
    public bool IsBegun => HasRun(Path);

    /// <summary>The same of a folder that is not open.</summary>
    public static bool HasRun(string path) =>
        File.Exists(System.IO.Path.Combine(path, "config.json"))
        && Directory.EnumerateFiles(path, CheckpointPrefix + "*" + CheckpointExtension, SearchOption.AllDirectories).Any();

    /// <summary>The file of a step's checkpoint.</summary>
    public string CheckpointOf(int step) =>
        System.IO.Path.Combine(Checkpoints, string.Create(CultureInfo.InvariantCulture, $"{CheckpointPrefix}{step:00000000}{CheckpointExtension}"));

    /// <summary>The file that says in words what a step's checkpoint is worth.</summary>
    public string ReportOf(int step) => System.IO.Path.ChangeExtension(CheckpointOf(step), ReportExtension);

    /// <summary>The last checkpoint, or null.</summary>
    public string? LastCheckpoint() => CheckpointsInOrder().LastOrDefault();

    /// <summary>Bytes of the checkpoints that are there.</summary>
    public long CheckpointBytes() => CheckpointsInOrder().Sum(path => new FileInfo(path).Length);

    /// <summary>Removes all but the last checkpoints, and reports whose checkpoint is gone or never came to be.</summary>
    /// <exception cref="TernException">A file cannot be deleted.</exception>
    public void Prune(int keep)
    {
        List<string> all = CheckpointsInOrder();
        try
        {
            foreach (string path in all.Take(Math.Max(0, all.Count - keep)))
                File.Delete(path);
            foreach (string report in Directory.GetFiles(Checkpoints, CheckpointPrefix + "*" + ReportExtension))
                if (!File.Exists(System.IO.Path.ChangeExtension(report, CheckpointExtension)))
                    File.Delete(report);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{Checkpoints}: an old checkpoint cannot be deleted: {e.Message}; check the folder's permissions", e);
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>Refuses a disk without room, before the work begins.</summary>
    /// <param name="bytes">What the run will write.</param>
    /// <exception cref="TernException">The disk has less.</exception>
    public void CheckSpace(long bytes)
    {
        long free = new DriveInfo(System.IO.Path.GetFullPath(Path)).AvailableFreeSpace;
        if (free < bytes)
        {
            throw new TernException(
                ErrorKind.Limit,
                string.Create(CultureInfo.InvariantCulture, $"{Path}: the run will write about {bytes / 1e6:0} MB, and the disk has {free / 1e6:0} MB free; make room, or keep fewer checkpoints with --keep"));
        }
    }

    private string In(string name) => System.IO.Path.Combine(Path, name);

    private List<string> CheckpointsInOrder() =>
        [.. Directory.EnumerateFiles(Checkpoints, CheckpointPrefix + "*" + CheckpointExtension).Order(StringComparer.Ordinal)];
}

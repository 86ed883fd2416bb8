using System.Globalization;

namespace Tern.Training.Runs;

/// <summary>
/// The folder of a run, locked while it is in use. Nothing in it is replaced or removed but what a run writes, and only where a run was begun.
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
    private const string PartialSuffix = ".tern-partial";

    private const string
        ConfigurationName = "config.json",
        TokenizerName = "tokenizer.gguf",
        TokensName = "tokens.bin",
        LogName = "log.jsonl",
        CurveName = "loss.svg",
        ReportName = "report.md",
        ModelName = "model.gguf",
        HuggingFaceName = "huggingface",
        CheckpointsName = "checkpoints",
        LockName = "lock";

    private static readonly string[] s_files = [ConfigurationName, TokenizerName, TokensName, LogName, CurveName, ReportName, ModelName];

    private static readonly string[] s_names = [.. s_files, HuggingFaceName, CheckpointsName, LockName];

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

    public string Configuration => In(ConfigurationName);

    public string Tokenizer => System.IO.Path.Combine(_dataPath, TokenizerName);

    public string Tokens => System.IO.Path.Combine(_dataPath, TokensName);

    public string Log => In(LogName);

    public string Curve => In(CurveName);

    public string Report => In(ReportName);

    public string Model => In(ModelName);

    public string HuggingFace => In(HuggingFaceName);

    /// <summary>Whether this is one of the runs of a comparison, which share their text.</summary>
    public bool IsPart => _dataPath != Path;

    private string Checkpoints => In(CheckpointsName);

    /// <summary>Opens or makes the folder, and removes what an interrupted write of a run may have left.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="parts">Names of the folders in it for the runs of a comparison; none for a single run.</param>
    /// <exception cref="TernException">It cannot be made, another run uses it, or it holds what no run wrote and a run would replace.</exception>
    public static RunFolder Open(string path, params IReadOnlyList<string> parts)
    {
        CheckOwn(path, parts);
        return OpenAt(path, path);
    }

    /// <summary>Opens or makes the folder of one of the runs that are compared in this one.</summary>
    /// <exception cref="TernException">It cannot be made.</exception>
    public RunFolder OpenPart(string name) => OpenAt(In(name), Path);

    private static RunFolder OpenAt(string path, string dataPath)
    {
        FileStream? @lock = null;
        try
        {
            string checkpoints = System.IO.Path.Combine(path, CheckpointsName);
            Directory.CreateDirectory(checkpoints);
            @lock = new FileStream(System.IO.Path.Combine(path, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            if (Directory.Exists(System.IO.Path.Combine(path, HuggingFaceName + PartialSuffix)))
                Directory.Delete(System.IO.Path.Combine(path, HuggingFaceName + PartialSuffix), recursive: true);
            foreach (string name in (string[])[.. s_files.Select(name => name + PartialSuffix), HuggingFaceName + ".tern-lock"])
                File.Delete(System.IO.Path.Combine(path, name));
            foreach (string file in Directory.GetFiles(checkpoints, CheckpointPrefix + "*" + PartialSuffix))
                File.Delete(file);
            return new RunFolder(path, dataPath, @lock);
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
        File.Exists(System.IO.Path.Combine(path, ConfigurationName)) && (HasCheckpoint(path) || Directory.EnumerateDirectories(path).Any(HasCheckpoint));

    /// <summary>Whether the run that is there is a comparison: its checkpoints lie in the folders of its runs.</summary>
    public static bool HasComparison(string path) => HasRun(path) && !HasCheckpoint(path);

    /// <summary>Refuses an input that a new run would replace.</summary>
    /// <param name="folder">The run folder.</param>
    /// <param name="path">The input; null where there is none.</param>
    /// <param name="name">What it is, for the message.</param>
    /// <exception cref="TernException">It has a name in the folder that the run writes.</exception>
    public static void CheckApart(string folder, string? path, string name)
    {
        if (path is null)
            return;
        string first = System.IO.Path.GetRelativePath(System.IO.Path.GetFullPath(folder), System.IO.Path.GetFullPath(path))
            .Split(System.IO.Path.DirectorySeparatorChar, System.IO.Path.AltDirectorySeparatorChar)[0];
        if (s_names.Contains(first, StringComparer.OrdinalIgnoreCase))
            throw new TernException(ErrorKind.Request, $"{path}: {name} lies in the run folder under a name that the run itself writes; move it, or name another folder with --out");
    }

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
    /// <exception cref="TernException">A checkpoint cannot be deleted.</exception>
    public void Prune(int keep)
    {
        List<string> all = CheckpointsInOrder();
        try
        {
            foreach (string path in all.Take(Math.Max(0, all.Count - keep)))
                File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{Checkpoints}: an old checkpoint cannot be deleted: {e.Message}; check the folder's permissions", e);
        }

        foreach (string report in Directory.GetFiles(Checkpoints, CheckpointPrefix + "*" + ReportExtension))
        {
            if (File.Exists(System.IO.Path.ChangeExtension(report, CheckpointExtension)))
                continue;
            try
            {
                File.Delete(report);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another program shows it; the next time it goes.
            }
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>Refuses a disk without room, before the work begins.</summary>
    /// <param name="bytes">What the run will write.</param>
    /// <exception cref="TernException">The disk has less.</exception>
    public void CheckSpace(long bytes)
    {
        if (FreeBytes(Path) is { } free && free < bytes)
        {
            throw new TernException(
                ErrorKind.Limit,
                string.Create(CultureInfo.InvariantCulture, $"{Path}: the run will write about {bytes / 1e6:0} MB, and the disk has {free / 1e6:0} MB free; make room, or keep fewer checkpoints with --keep"));
        }
    }

    /// <summary>Bytes that are free on the disk of a folder; null where the system does not say, as of a share of the network on Windows.</summary>
    public static long? FreeBytes(string path)
    {
        try
        {
            return new DriveInfo(System.IO.Path.GetFullPath(path)).AvailableFreeSpace;
        }
        catch (Exception e) when (e is ArgumentException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Refuses a folder without a run in it that holds what a run would replace.</summary>
    private static void CheckOwn(string path, IReadOnlyList<string> parts)
    {
        // With checkpoints it is a run's, and whoever reads its configuration says what may be wrong with that.
        if (!Directory.Exists(path) || HasRun(path) || HasConfiguration(path))
            return;
        foreach (string name in (string[])[.. s_names, .. parts])
            if (Holds(System.IO.Path.Combine(path, name)))
                throw new TernException(ErrorKind.Request, $"{path}: the folder holds '{name}' and no run that it could belong to, and a run would replace it; name another folder with --out");

        // What a run leaves that was killed before it wrote its configuration is empty.
        static bool Holds(string path) => File.Exists(path) ? new FileInfo(path).Length > 0 : Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any();
    }

    /// <summary>Whether there is the configuration of a run, and not a file of that name by somebody else.</summary>
    private static bool HasConfiguration(string path)
    {
        try
        {
            return RunConfiguration.Read(System.IO.Path.Combine(path, ConfigurationName)).Has("out");
        }
        catch (TernException)
        {
            return false;
        }
    }

    private static bool HasCheckpoint(string path)
    {
        string checkpoints = System.IO.Path.Combine(path, CheckpointsName);
        return Directory.Exists(checkpoints) && Directory.EnumerateFiles(checkpoints, CheckpointPrefix + "*" + CheckpointExtension).Any();
    }

    private string In(string name) => System.IO.Path.Combine(Path, name);

    private List<string> CheckpointsInOrder() =>
        [.. Directory.EnumerateFiles(Checkpoints, CheckpointPrefix + "*" + CheckpointExtension).Order(StringComparer.Ordinal)];
}

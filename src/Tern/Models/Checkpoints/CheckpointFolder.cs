using Tern.Files;

namespace Tern.Models.Checkpoints;

/// <summary>
/// What lies in the folder of a Hugging Face checkpoint, and what to say of one that is none.
/// <code>
/// config.json                      dimensions, architecture, quantization
/// model.safetensors                the weights in one file …
/// model.safetensors.index.json     … or the list of their files: model-00001-of-0000N.safetensors
/// NAME.safetensors                 … or, without these two, the only file of its kind
/// tokenizer.json …                 the tokenizer
/// </code>
/// </summary>
internal static class CheckpointFolder
{
    private const string Config = "config.json";
    private const string Weights = "model.safetensors";
    private const string Index = "model.safetensors.index.json";
    private const string WeightsEnding = ".safetensors";
    private const int NamesShown = 6;

    /// <summary>The folder that a path means: the path itself, or the folder of a file of a checkpoint; null for any other path.</summary>
    /// <exception cref="TernException">The path is a safetensors file that is malformed, or no part of a checkpoint.</exception>
    public static string? Of(string path)
    {
        if (Directory.Exists(path))
            return path;
        string name = Path.GetFileName(path);
        bool isWeights = name.EndsWith(WeightsEnding, StringComparison.OrdinalIgnoreCase);
        if (!(isWeights || name is Config or Index) || !File.Exists(path))
            return null;

        string folder = Path.GetDirectoryName(path) is { Length: > 0 } above ? above : ".";
        bool hasConfig = File.Exists(Path.Combine(folder, Config));
        if (hasConfig && (!isWeights || name.StartsWith("model", StringComparison.Ordinal) || Names(folder).Count(n => n.EndsWith(WeightsEnding, StringComparison.OrdinalIgnoreCase)) == 1))
            return folder;
        if (!isWeights)
            return null;
        SafetensorsFile.Open(path).Dispose();
        throw FileError.At(ErrorKind.Unsupported, path, 0, "file", $"has weights but {(hasConfig ? "is not the model of the config.json beside it" : "no config.json beside it")}", "put config.json and tokenizer.json of the model into its folder, and name the folder");
    }

    /// <summary>The configuration of a checkpoint.</summary>
    /// <exception cref="TernException">There is none; the message says what the folder holds instead.</exception>
    public static CheckpointConfig ReadConfig(string folder) => CheckpointConfig.Find(folder, Config) ?? throw NoCheckpoint(folder, Config);

    /// <summary>Opens the files of the weights.</summary>
    /// <exception cref="TernException">They are missing, malformed or do not hold what their index says.</exception>
    public static List<SafetensorsFile> OpenWeights(string folder)
    {
        if (FolderFiles.Find(folder, Weights) is { } whole)
            return [SafetensorsFile.Open(whole)];
        if (FolderFiles.Find(folder, Index) is not { } index)
        {
            string[] others = [.. Names(folder).Where(n => n.EndsWith(WeightsEnding, StringComparison.OrdinalIgnoreCase))];
            return others is [string only] && FolderFiles.Find(folder, only) is { } alone ? [SafetensorsFile.Open(alone)] : throw NoCheckpoint(folder, Weights);
        }

        Dictionary<string, string> map = SafetensorsIndex.Read(index);
        var files = new List<SafetensorsFile>();
        try
        {
            foreach (IGrouping<string, string> shard in map.GroupBy(e => e.Value, e => e.Key).OrderBy(g => g.Key, StringComparer.Ordinal))
            {
                string path = FolderFiles.Find(folder, shard.Key)
                    ?? throw FileError.At(ErrorKind.Semantic, index, 0, "key 'weight_map'", $"names {FileError.Quote(shard.Key)}, which is not there", "download all files of the checkpoint");
                var file = SafetensorsFile.Open(path);
                files.Add(file);
                var names = file.Entries.Select(e => e.Name).ToHashSet(StringComparer.Ordinal);
                if (shard.FirstOrDefault(name => !names.Contains(name)) is { } absent)
                    throw FileError.At(ErrorKind.Semantic, path, 0, $"tensor {FileError.Quote(absent)}", $"is not in this file, though {Index} says so", "the files do not belong together: download all of them again");
            }

            return files;
        }
        catch
        {
            files.ForEach(f => f.Dispose());
            throw;
        }
    }

    private static TernException NoCheckpoint(string folder, string missing)
    {
        string[] names = Names(folder);
        string what = $"has no {missing}";
        if (With(".gguf") is { Length: > 0 } gguf)
            return FileError.Whole(ErrorKind.File, folder, "folder", $"{what} and so is no checkpoint, but it holds {gguf}", "name one of these files");
        if (missing == Config && With(".safetensors") is { Length: > 0 } weights)
            return FileError.Whole(ErrorKind.File, folder, "folder", $"{what}, only the weights {weights}", "download config.json and the files of the tokenizer too");
        if (With(".bin", ".pt", ".pth", ".ckpt") is { Length: > 0 } pickles)
            return FileError.Whole(ErrorKind.Unsupported, folder, "folder", $"{what}, but {pickles}: pickles are programs and not data; Tern never reads one", "download the model as safetensors or GGUF");
        return FileError.Whole(ErrorKind.File, folder, "folder", $"{what}, nor any other file of a model", "name a model file, or the folder of a Hugging Face checkpoint (config.json, model.safetensors, tokenizer.json)");

        string With(params string[] endings)
        {
            string[] found = Array.FindAll(names, n => endings.Any(e => n.EndsWith(e, StringComparison.OrdinalIgnoreCase)));
            return string.Join(", ", found.Take(NamesShown).Select(FileError.Quote)) + (found.Length > NamesShown ? $" and {found.Length - NamesShown} more" : "");
        }
    }

    private static string[] Names(string folder)
    {
        try
        {
            return [.. Directory.EnumerateFiles(folder).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileError.Whole(ErrorKind.File, folder, "folder", $"cannot be read: {e.Message}", "check its permissions", e);
        }
    }
}

using Tern.Cli.Terminal;
using Tern.Models;

namespace Tern.Cli.Input;

/// <summary>A model loaded with a sign of life, its warnings shown.</summary>
internal static class LoadedModel
{
    public static Model Load(string path, ModelOptions options)
    {
        Model model = Work.Wait($"loading {Path.GetFileName(path)}", () => Model.Load(path, options));
        Messages.Warnings(model.Warnings);
        return model;
    }
}
